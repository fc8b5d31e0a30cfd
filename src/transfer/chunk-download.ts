import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import { type Chunk, isXftpError, XftpError } from '../protocol/index.js';
import type { DownloadedChunk } from './chunk-box.js';
import { withRetries } from './retry.js';
import { type ProgressMeter, type TransferContext } from './transfer-context.js';

/**
 * Downloads a chunk and has it verified, from its first replica or, if that one fails, the next.
 *
 * @param memory where to download to, at least as long as the chunk and its tag
 * @param verify checks the chunk
 * @param context `onBegun` is called when bytes have come, which may be more than once
 * @throws XftpError of the last replica
 */
export async function downloadChunk<T>(
  chunk: Chunk,
  memory: Uint8Array,
  verify: (downloaded: DownloadedChunk) => Promise<T>,
  context: TransferContext & { readonly progress: ProgressMeter; readonly onBegun?: () => void },
): Promise<T> {
  const { client, attempts, signal, onBegun } = context;
  const options = signal === undefined ? {} : { signal };
  const progress = context.progress.chunk();
  const box = memory.subarray(0, chunk.size + DOWNLOAD_TAG_LENGTH);
  let failure: unknown = new XftpError(
    'INVALID_DESCRIPTION',
    `Chunk ${String(chunk.number)} has no replica.`,
  );
  for (const { server, id, key } of chunk.replicas) {
    const attempt = async (): Promise<T> => {
      progress.set(0);
      const access = { id, privateKey: key };
      const onReceived = (bytes: number): void => {
        onBegun?.();
        progress.set(Math.min(bytes, chunk.size));
      };
      const { secret, nonce } = await client.downloadChunk(server, access, box, { ...options, onReceived });
      const { number, digest } = chunk;
      return verify({ index: number - 1, box, boxSecret: secret, boxNonce: nonce, digest });
    };
    try {
      return await withRetries(attempts, attempt, options);
    } catch (error) {
      if (!isXftpError(error) || error.kind === 'cancelled' || error.kind === 'local') throw error;
      failure = error;
    }
  }
  throw failure;
}
