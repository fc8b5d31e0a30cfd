import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import {
  type Chunk,
  formatServerAddress,
  isXftpError,
  type Replica,
  sameServer,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import type { DownloadedChunk } from './chunk-box.js';
import { withRetries } from './retry.js';
import { noneCouldGive, severalFailures } from './several-failures.js';
import { type ProgressMeter, type TransferContext } from './transfer-context.js';

/** What the chunks of one file have in common. */
export interface DownloadContext extends TransferContext {
  readonly progress: ProgressMeter;
  /** Servers that have failed. They are asked last. */
  readonly failed: ServerAddress[];
  /** Called when bytes have come, which may be more than once. */
  readonly onBegun?: () => void;
}

/**
 * Downloads a chunk and has it verified, from its first replica or, if that one fails, the next. When all have failed,
 * those that may do better are tried again.
 *
 * @param memory where to download to, at least as long as the chunk and its tag
 * @param verify checks the chunk
 * @throws XftpError that tells what each relay said
 */
export async function downloadChunk<T>(
  chunk: Chunk,
  memory: Uint8Array,
  verify: (downloaded: DownloadedChunk) => Promise<T>,
  context: DownloadContext,
): Promise<T> {
  const { client, attempts, failed, signal, onBegun } = context;
  const options = signal === undefined ? {} : { signal };
  const progress = context.progress.chunk();
  const { number, digest, size } = chunk;
  const box = memory.subarray(0, size + DOWNLOAD_TAG_LENGTH);
  const said = new Map<string, XftpError>();
  let left: readonly Replica[] = chunk.replicas;

  const downloadFrom = async ({ server, id, key }: Replica): Promise<T> => {
    progress.set(0);
    const access = { id, privateKey: key };
    const onReceived = (bytes: number): void => {
      onBegun?.();
      progress.set(Math.min(bytes, size));
    };
    const { secret, nonce } = await client.downloadChunk(server, access, box, { ...options, onReceived });
    return verify({ index: number - 1, box, boxSecret: secret, boxNonce: nonce, digest });
  };
  const hasFailed = ({ server }: Replica): boolean => failed.some((other) => sameServer(other, server));
  const downloadFromAny = async (): Promise<T> => {
    const round = left;
    for (const replica of [...round.filter((each) => !hasFailed(each)), ...round.filter(hasFailed)])
      try {
        return await downloadFrom(replica);
      } catch (error) {
        if (!isRelaysFault(error)) throw error;
        said.set(formatServerAddress(replica.server), error);
        if (!hasFailed(replica)) failed.push(replica.server);
        if (!error.temporary && error.kind !== 'corrupt') left = left.filter((other) => other !== replica);
      }
    throw noneGave(number, said);
  };
  return withRetries(attempts, downloadFromAny, options);
}

/** Whether another relay may have it. A file that its sender has made wrong is the same on all of them. */
function isRelaysFault(error: unknown): error is XftpError {
  return isXftpError(error) && !['cancelled', 'local'].includes(error.kind) && error.code !== 'FILE_CORRUPT';
}

/** With the code of one that may do better, if there is one. */
function noneGave(chunk: number, said: ReadonlyMap<string, XftpError>): XftpError {
  const failures = [...said.values()];
  const last =
    failures.findLast(({ temporary }) => temporary) ??
    failures.findLast(({ kind }) => kind === 'corrupt') ??
    failures.at(-1) ??
    new XftpError('INVALID_DESCRIPTION', `Chunk ${String(chunk)} has no replica.`);
  return severalFailures(said, last, noneCouldGive(said.size, chunk));
}
