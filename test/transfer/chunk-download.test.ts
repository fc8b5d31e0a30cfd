import { describe, expect, it } from 'vitest';

import type { RelayClient } from '#src/client/index.js';
import {
  type Chunk,
  encodeBase64Url,
  type FailureCode,
  parseServerAddress,
  type ServerAddress,
  XftpError,
} from '#src/protocol/index.js';
import { downloadChunk } from '#src/transfer/chunk-download.js';
import { ProgressMeter } from '#src/transfer/transfer-context.js';
import { failing } from '../crypto/expected-failure.js';
import { transferContext } from '../support/transfers.js';

const RELAYS = [1, 2].map((number) =>
  parseServerAddress(
    `xftp://${encodeBase64Url(new Uint8Array(32).fill(number))}@relay${String(number)}.example`,
  ),
);

/** Downloads a chunk that is on two relays and can be checked only with this result; tells who was asked. */
async function downloadWrong(code: FailureCode): Promise<{
  readonly asked: readonly ServerAddress[];
  readonly failed: readonly ServerAddress[];
}> {
  const asked: ServerAddress[] = [];
  const failed: ServerAddress[] = [];
  const client: Pick<RelayClient, 'downloadChunk'> = {
    downloadChunk: (server) => {
      asked.push(server);
      return Promise.resolve({ secret: new Uint8Array(32), nonce: new Uint8Array(24) });
    },
  };
  const context = {
    ...transferContext({ attempts: 2 }),
    client: client as RelayClient, // nothing else of it is used
    progress: new ProgressMeter(100, undefined),
    failed,
  };
  const access = { id: new Uint8Array(24), key: new Uint8Array(48) };
  const chunk: Chunk = {
    number: 1,
    size: 100,
    digest: new Uint8Array(32),
    replicas: RELAYS.map((server) => ({ server, ...access })),
  };
  const verify = (): Promise<never> => Promise.reject(new XftpError(code, 'It is wrong.'));
  await expect(downloadChunk(chunk, new Uint8Array(200), verify, context)).rejects.toThrow(failing(code));
  return { asked, failed };
}

describe('A chunk that turns out to be wrong', () => {
  it.each(['CHUNK_DIGEST', 'CHUNK_TAG', 'CHUNK_SIZE'] as const)(
    'with %s is the fault of its relay: every one is asked, and asked again',
    async (code) => {
      expect(await downloadWrong(code)).toEqual({ asked: [...RELAYS, ...RELAYS], failed: RELAYS });
    },
  );

  it('with FILE_CORRUPT is the fault of its sender: no relay has another one', async () => {
    expect(await downloadWrong('FILE_CORRUPT')).toEqual({ asked: RELAYS.slice(0, 1), failed: [] });
  });
});
