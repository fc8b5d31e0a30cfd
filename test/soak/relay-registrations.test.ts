import { randomBytes } from 'node:crypto';

import { expect, it } from 'vitest';

import { measuredRelay } from '../support/measured-relay.js';
import { asSender, type RawClient } from '../support/raw-client.js';
import { chunkBytes } from '../support/test-relay.js';

const REGISTRATIONS = 10_000;
/** Under way at once: half of what a connection may have. */
const AT_ONCE = 50;
/** Most memory of a registered chunk with one recipient, in bytes: IDs, keys, digest, and places in three tables. */
const RECORD = 6 * 1024;
/** Registrations that come before an answer: those that were there already, and those that share its flush. */
const AHEAD = 4 * AT_ONCE;

/** Registers chunks that are never uploaded; `answered` is told of each. */
async function flood(client: RawClient, count: number, answered: () => void): Promise<void> {
  const content = chunkBytes();
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left > 0) {
        left -= 1;
        await client.create(content);
        answered();
      }
    }),
  );
}

/** One chunk of somebody else from its registration to its end. */
async function honestRound(client: RawClient): Promise<void> {
  const chunk = await client.create(randomBytes(65536));
  expect(await client.put(chunk)).toBe('OK');
  expect(await client.get(chunk)).toEqual(chunk.bytes);
  expect((await client.command({ type: 'FDEL' }, asSender(chunk))).response.type).toBe('OK');
}

it('10,000 registrations without an upload cost a bounded memory, and others are served meanwhile', async () => {
  const relay = await measuredRelay();
  const [flooding, honest, asking] = [await relay.client(), await relay.client(), await relay.client()];
  await flood(flooding, 500, () => undefined); // Tables and code that are there only once.
  await honestRound(honest);
  const before = await relay.holdings();
  let registered = 0;
  const done = flood(flooding, REGISTRATIONS, () => (registered += 1));
  const busy = (): boolean => registered < REGISTRATIONS;
  let rounds = 0;
  const working = (async () => {
    for (; busy(); rounds++) await honestRound(honest);
  })();
  const ahead: number[] = [];
  const waiting = (async () => {
    while (busy()) {
      const start = registered;
      expect((await asking.command({ type: 'PING' })).response.type).toBe('PONG');
      ahead.push(registered - start);
    }
  })();
  await Promise.all([done, working, waiting]);
  const { memory, files } = await relay.holdings();
  expect(registered).toBe(REGISTRATIONS);
  expect((memory - before.memory) / REGISTRATIONS).toBeLessThan(RECORD);
  expect(files).toBe(before.files);
  // Counted in answers to others, not in time: the machine may be slow.
  expect(rounds).toBeGreaterThan(REGISTRATIONS / (100 * AT_ONCE));
  expect(ahead.toSorted((a, b) => a - b)[Math.floor(0.99 * ahead.length)]).toBeLessThan(AHEAD);
}, 300_000);
