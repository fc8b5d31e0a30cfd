import type { RelayClient } from '../client/index.js';
import type { CipherPool } from './cipher-pool.js';

/** How far a transfer has come, in bytes of the encrypted file. */
export interface TransferProgress {
  readonly done: number;
  readonly total: number;
}

/** What every transfer needs. */
export interface TransferContext {
  readonly client: RelayClient;
  readonly ciphers: CipherPool;
  /** How often a step on a relay is tried before it counts as failed; at least 1. */
  readonly attempts: number;
  readonly signal?: AbortSignal;
  /** Called often; must be cheap. */
  readonly onProgress?: (progress: TransferProgress) => void;
  /** Something that the user should know although the transfer goes on: one sentence. */
  readonly onWarning?: (message: string) => void;
  /** Something for a user who wants to know more: one sentence. */
  readonly onDetail?: (message: string) => void;
}

/** Adds up the bytes of many chunks under way. */
export class ProgressMeter {
  readonly #total: number;
  readonly #report: ((progress: TransferProgress) => void) | undefined;
  #done = 0;

  constructor(total: number, report: TransferContext['onProgress']) {
    this.#total = total;
    this.#report = report;
  }

  /** A counter for one chunk. `set` may go back when the chunk is tried again. */
  chunk(): { readonly set: (bytes: number) => void } {
    let counted = 0;
    return {
      set: (bytes) => {
        this.#done += bytes - counted;
        counted = bytes;
        this.#report?.({ done: this.#done, total: this.#total });
      },
    };
  }
}
