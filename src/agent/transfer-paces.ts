import { bothPaces, Pace, type Pacing } from '../transport/index.js';
import type { Direction, Settings } from './model.js';

/**
 * The most that an upload hands to a connection at once, in bytes. To encrypt and write a larger piece takes so long
 * that whoever calls the agent meanwhile notices.
 */
const LARGEST_PIECE = 64 * 1024;

/** What transfers are held to: all of them together, and each by a limit of its own. */
export class TransferPaces {
  readonly #send: Pace;
  readonly #receive: Pace;
  readonly #own = new Map<string, Pace>();

  constructor(settings: Pick<Settings, 'uploadLimit' | 'downloadLimit'>) {
    this.#send = new Pace(settings.uploadLimit ?? undefined, { largestPiece: LARGEST_PIECE });
    this.#receive = new Pace(settings.downloadLimit ?? undefined);
  }

  /** Changes the limits of all together while requests are under way. */
  setLimits({ uploadLimit, downloadLimit }: Pick<Settings, 'uploadLimit' | 'downloadLimit'>): void {
    this.#send.setRate(uploadLimit ?? undefined);
    this.#receive.setRate(downloadLimit ?? undefined);
  }

  /**
   * What the bytes of a running transfer are held to.
   *
   * @param transfer its own limit in bytes per second, null for none
   */
  of(id: string, transfer: { readonly direction: Direction; readonly byte_limit: number | null }): Pacing {
    const own = this.#own.get(id) ?? new Pace(transfer.byte_limit ?? undefined);
    this.#own.set(id, own);
    return bothPaces(own, transfer.direction === 'send' ? this.#send : this.#receive);
  }

  /** Changes the limit of one transfer, if it runs. */
  setLimit(id: string, limit: number | null): void {
    this.#own.get(id)?.setRate(limit ?? undefined);
  }

  /** The transfer does not run any more. */
  end(id: string): void {
    this.#own.delete(id);
  }
}
