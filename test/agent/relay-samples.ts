import { readFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';

import { type TestRelay, testRelay } from '../support/test-relay.js';
import type { RelayOptions } from '#src/relay/index.js';

/** A relay that tells what it was asked, by its store log. */
export interface CountedRelay extends TestRelay {
  /** How often each command changed something; FPUT is one upload that it acknowledged. */
  readonly counts: () => Promise<Readonly<Record<'FNEW' | 'FADD' | 'FPUT' | 'FDEL' | 'FACK', number>>>;
  /** Chunks that it holds. */
  readonly chunks: () => number;
}

/** Starts a relay on loopback that ends with the running test, or one again on the folders of `before`. */
export async function countedRelay(options: Partial<RelayOptions> = {}): Promise<CountedRelay> {
  return counted(await testRelay({ host: '127.0.0.1', ...options }));
}

/** Adds the counts to a relay. */
export function counted(relay: TestRelay): CountedRelay {
  return {
    ...relay,
    counts: async () => {
      const words = (await readFile(relay.storeLogPath, 'utf8'))
        .split('\n')
        .map((line) => line.split(' ')[0]);
      const count = (word: string): number => words.filter((other) => other === word).length;
      return {
        FNEW: count('FNEW'),
        FADD: count('FADD'),
        FPUT: count('FPUT'),
        FDEL: count('FDEL'),
        FACK: count('FACK'),
      };
    },
    chunks: () => readdirSync(relay.filesPath).filter((name) => !name.startsWith('.')).length,
  };
}
