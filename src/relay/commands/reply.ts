import type { PlainErrorType, Response } from '../../protocol/index.js';
import type { SecretBoxStream } from '../../crypto/index.js';
import type { BodyReader } from '../body-storage.js';

/** A chunk body on its way to a recipient. Whoever has it must close the reader. */
export interface Download {
  readonly reader: BodyReader;
  /** Bytes. */
  readonly size: number;
  readonly box: SecretBoxStream;
}

/** What a command leads to: a response, after FILE with the chunk. */
export interface Reply {
  readonly response: Response;
  readonly download?: Download;
}

/** A download that has to wait for its turn. Until then it keeps nothing but a few IDs and keys. */
export interface PendingDownload {
  readonly begin: () => Promise<Reply>;
}

/** Success without anything to say. */
export const OK: Response = { type: 'OK' };

/** An error without parameters. */
export function errorResponse(type: PlainErrorType): Response {
  return { type: 'ERR', error: { type } };
}

/** A reply with nothing but such an error. */
export function errorReply(type: PlainErrorType): Reply {
  return { response: errorResponse(type) };
}
