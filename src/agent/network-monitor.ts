import { networkInterfaces } from 'node:os';

import { isXftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import type { NetworkInfo } from './model.js';

/** How often the machine's addresses are looked at, in ms: so soon a network that is back is noticed. */
const POLL_MS = 2000;
/** Errors of the system that mean that there is no network, rather than that a relay is down. */
const NO_NETWORK = new Set(['ENETUNREACH', 'ENETDOWN', 'EAI_AGAIN', 'EADDRNOTAVAIL']);

/** What the monitor tells. */
export interface NetworkListener {
  /** A client says that there is a network, or none. */
  readonly onForced: (online: boolean) => void;
  /** The machine's addresses have changed, or the proxy is back: what failed may work now. */
  readonly onAddresses: () => void;
  readonly onChange: (network: NetworkInfo) => void;
}

/** Knows whether there is a network: from a client that says so, or else from failures and the machine's addresses. */
export class NetworkMonitor {
  readonly #listener: NetworkListener;
  readonly #addresses: () => string;
  #timer: NodeJS.Timeout | undefined;
  #last: string;
  #told: boolean | undefined;
  #observed = true;
  #metered = false;
  readonly #proxyAnswers: () => Promise<boolean>;
  /** `asked`: whether it is back is being found out. */
  #proxy: 'there' | 'gone' | 'asked' = 'there';

  /**
   * @param proxyAnswers whether the proxy answers, if there is one
   * @param addresses the machine's addresses as one text, empty if there is none but its own
   */
  constructor(
    listener: NetworkListener,
    proxyAnswers: () => Promise<boolean>,
    addresses: () => string = externalAddresses,
  ) {
    this.#listener = listener;
    this.#proxyAnswers = proxyAnswers;
    this.#addresses = addresses;
    this.#last = addresses();
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#poll();
    }, POLL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get info(): NetworkInfo {
    return {
      online: this.#told ?? this.#observed,
      source: this.#told === undefined ? 'observed' : 'client',
      metered: this.#metered,
    };
  }

  /** What a client says; `null` for `online` leaves it to the monitor again. */
  set(network: { readonly online?: boolean | null; readonly metered?: boolean }): void {
    this.#change(() => {
      if (network.metered !== undefined) this.#metered = network.metered;
      if (network.online !== undefined) this.#told = network.online ?? undefined;
    });
    this.#listener.onForced(this.#told ?? true);
    // A client that says that there is a network asks for another try.
    if (network.online === true) this.#listener.onAddresses();
  }

  /** A request worked. */
  succeeded(): void {
    this.#change(() => {
      this.#observed = true;
    });
  }

  /** A request failed. */
  failed(error: unknown): void {
    if (isXftpError(error, 'PROXY_FAILED') && this.#proxy === 'there') this.#proxy = 'gone';
    if (meansNoNetwork(error))
      this.#change(() => {
        this.#observed = false;
      });
  }

  #poll(): void {
    if (this.#proxy === 'gone') void this.#askProxy();
    const now = this.#addresses();
    if (now === this.#last) return;
    this.#last = now;
    this.#change(() => {
      this.#observed = now !== '';
    });
    if (now !== '') this.#listener.onAddresses();
  }

  async #askProxy(): Promise<void> {
    this.#proxy = 'asked';
    const answers = await this.#proxyAnswers();
    this.#proxy = answers ? 'there' : 'gone';
    if (!answers) return;
    this.succeeded();
    this.#listener.onAddresses();
  }

  #change(change: () => void): void {
    const before = JSON.stringify(this.info);
    change();
    if (JSON.stringify(this.info) !== before) this.#listener.onChange(this.info);
  }
}

function meansNoNetwork(error: unknown): boolean {
  if (isXftpError(error, 'PROXY_FAILED')) return true;
  if (!isXftpError(error, 'CONNECT_FAILED')) return false;
  return NO_NETWORK.has(errorCode(error.cause) ?? '');
}

function externalAddresses(): string {
  return Object.entries(networkInterfaces())
    .flatMap(([name, addresses]) =>
      (addresses ?? []).filter(({ internal }) => !internal).map(({ address }) => `${name} ${address}`),
    )
    .sort()
    .join(', ');
}
