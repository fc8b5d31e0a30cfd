import { lookup } from 'node:dns/promises';

import { DOWNLOAD_TAG_LENGTH, RelayClient } from '../client/index.js';
import {
  bytesEqual,
  CHUNK_SIZES,
  isXftpError,
  parseHost,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import { generateKeyPair, openTagLast, randomBytes, sha256 } from '../crypto/index.js';
import {
  connectFailure,
  DEFAULT_DEADLINES,
  DEFAULT_IDLE_MS,
  hopsTo,
  openSession,
  type OpenStep,
  type Route,
  SessionPool,
  type SocksCredentials,
} from '../transport/index.js';
import type { Clock } from './clock.js';
import { failureHint, toFailureInfo } from './failure-policy.js';
import type { ServerTestResult, ServerTestStep } from './model.js';
import { asXftpError } from './run.js';
import { serverKey } from './server-store.js';

type Step = ServerTestStep['step'];

/** How a server is tested. */
export interface ServerTestOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** The way to relays; undefined without a proxy. */
  readonly route: (credentials: SocksCredentials) => Route | undefined;
}

/** The steps that opening a session consists of, in order. */
const OPENING: readonly OpenStep[] = ['tcp', 'tls', 'identity', 'handshake'];

/**
 * Walks all the way that a file goes, with one small chunk and over a connection of its own, and tells how long each
 * step took. Ends with the first step that fails.
 */
export async function testServer(
  server: ServerAddress,
  options: ServerTestOptions,
): Promise<ServerTestResult> {
  const test = new ServerTest(server, options);
  const steps = await test.run();
  return { address: serverKey(server), ok: steps.every(({ ok }) => ok), steps };
}

/** Where no connection is made. */
const NOBODY: SocksCredentials = { user: '', password: '' };

class ServerTest {
  readonly #server: ServerAddress;
  readonly #clock: Clock;
  readonly #route: ServerTestOptions['route'];
  readonly #abort: { signal?: AbortSignal };
  readonly #steps: ServerTestStep[] = [];
  #since: number;

  constructor(server: ServerAddress, { clock, route, signal }: ServerTestOptions) {
    this.#server = server;
    this.#clock = clock;
    this.#route = route;
    this.#abort = signal === undefined ? {} : { signal };
    this.#since = clock.monotonic();
  }

  async run(): Promise<readonly ServerTestStep[]> {
    let step: Step = 'name';
    const pool = new SessionPool({
      open: (server, dialSignal, credentials) => {
        const route = this.#route(credentials);
        return openSession(server, {
          deadlines: DEFAULT_DEADLINES,
          signal: dialSignal,
          ...(route === undefined ? {} : { route }),
          onStep: (done) => {
            // The proxy tells nothing before it has connected.
            if (done === 'tcp' && hopsTo(server, route)[0].via !== undefined) this.#passed('proxy');
            this.#passed(done);
            step = OPENING[OPENING.indexOf(done) + 1] ?? 'create';
          },
        });
      },
      sessionsPerServer: 1,
      idleMs: DEFAULT_IDLE_MS,
    });
    try {
      await this.#lookUp();
      step = 'tcp';
      const client = new RelayClient(pool);
      await client.ping(this.#server, this.#abort);
      for await (const next of this.#transfer(client)) step = next;
    } catch (error) {
      this.#steps.push({
        step: isXftpError(error, 'PROXY_FAILED') ? 'proxy' : step,
        ok: false,
        ms: this.#lap(),
        failure: toFailureInfo(asXftpError(error), failureHint),
      });
    } finally {
      pool.close();
    }
    return this.#steps;
  }

  async #lookUp(): Promise<void> {
    const [{ host, via }] = hopsTo(this.#server, this.#route(NOBODY));
    // A proxy looks names up itself.
    if (via === undefined && parseHost(host).kind === 'domain')
      await lookup(host).catch((error: unknown) => {
        throw connectFailure(host, error);
      });
    this.#passed('name');
  }

  /** Yields each step before it is taken. */
  async *#transfer(client: RelayClient): AsyncGenerator<Step> {
    const bytes = randomBytes(CHUNK_SIZES[0]);
    yield 'create';
    const senderKey = generateKeyPair('ed25519');
    const recipient = generateKeyPair('ed25519');
    const ids = await client.createChunk(
      this.#server,
      {
        senderKey,
        size: bytes.length,
        digest: sha256(bytes),
        recipientKeys: [recipient.publicKey],
      },
      this.#abort,
    );
    const sender = { id: ids.senderId, privateKey: senderKey.privateKey };
    this.#passed('create');
    yield 'upload';
    await client.uploadChunk(this.#server, sender, { bytes, onBodyReleased: () => undefined }, this.#abort);
    this.#passed('upload');
    yield 'download';
    const box = new Uint8Array(bytes.length + DOWNLOAD_TAG_LENGTH);
    const access = { id: ids.recipientIds[0] ?? new Uint8Array(), privateKey: recipient.privateKey };
    const { secret, nonce } = await client.downloadChunk(this.#server, access, box, this.#abort);
    this.#passed('download');
    yield 'compare';
    const opened = openTagLast(secret, nonce, box);
    if (opened === undefined || !bytesEqual(opened, bytes))
      throw new XftpError('CHUNK_DIGEST', 'The relay did not give back the bytes that it was given.');
    this.#passed('compare');
    yield 'delete';
    await client.deleteChunk(this.#server, sender, this.#abort);
    this.#passed('delete');
  }

  #passed(step: Step): void {
    this.#steps.push({ step, ok: true, ms: this.#lap() });
  }

  #lap(): number {
    const now = this.#clock.monotonic();
    const ms = now - this.#since;
    this.#since = now;
    return Math.round(ms * 10) / 10;
  }
}
