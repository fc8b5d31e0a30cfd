import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { onTestFinished } from 'vitest';

/** What a link does to what goes over it. */
export interface LinkFigures {
  /** Each way, over all connections together. */
  readonly bytesPerSecond: number;
  /** There and back, in ms. */
  readonly roundTripMs: number;
  /** All connections are lost each time that so many ms have passed, or that so many bytes went one way; never unless given. */
  readonly cutEvery?: { readonly ms: number } | { readonly bytes: number };
}

/** A link on loopback. */
export interface EmulatedLink {
  readonly port: number;
  /** How often connections were lost. */
  readonly cuts: () => number;
}

/** One way of a link. */
class Way {
  readonly #bytesPerMs: number;
  #freeAt = 0;
  /** Bytes since the link broke last. */
  passed = 0;

  constructor({ bytesPerSecond }: LinkFigures) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Most bytes that go at once: some ms of the way, so that connections take turns. */
  get step(): number {
    return Math.ceil(this.#bytesPerMs * 20);
  }

  /** Resolves when so many bytes have gone. */
  async pass(bytes: number): Promise<void> {
    this.#freeAt = Math.max(this.#freeAt, performance.now()) + bytes / this.#bytesPerMs;
    this.passed += bytes;
    await delay(this.#freeAt - performance.now());
  }
}

/** Starts a link to a port of the loopback interface; it ends with the running test. */
export async function emulatedLink(targetPort: number, figures: LinkFigures): Promise<EmulatedLink> {
  const sockets = new Set<Socket>();
  const [up, down] = [new Way(figures), new Way(figures)];
  const { cutEvery = { bytes: Infinity } } = figures;
  let cuts = 0;
  const cutAll = (): void => {
    cuts += 1;
    up.passed = 0;
    down.passed = 0;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const onPassed = (): void => {
    if ('bytes' in cutEvery && Math.max(up.passed, down.passed) >= cutEvery.bytes) cutAll();
  };
  const server = createServer({ pauseOnConnect: true }, (client) => {
    const relay = connect({ port: targetPort, host: '127.0.0.1' });
    const cut = (): void => {
      client.resetAndDestroy();
      relay.resetAndDestroy();
    };
    for (const socket of [client, relay]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', cut);
      socket.on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    const lateMs = figures.roundTripMs / 2;
    carry(client, relay, { way: up, lateMs, onPassed }).catch(cut);
    carry(relay, client, { way: down, lateMs, onPassed }).catch(cut);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const timer = 'ms' in cutEvery ? setInterval(cutAll, cutEvery.ms) : undefined;
  onTestFinished(async () => {
    clearInterval(timer);
    for (const socket of sockets) socket.resetAndDestroy();
    server.close();
    await once(server, 'close');
  });
  return { port: (server.address() as AddressInfo).port, cuts: () => cuts }; // listens on a TCP port
}

async function carry(
  from: Socket,
  to: Socket,
  { way, lateMs, onPassed }: { readonly way: Way; readonly lateMs: number; readonly onPassed: () => void },
): Promise<void> {
  for await (const data of from) {
    const piece = data as Buffer; // a socket without encoding
    for (let start = 0; start < piece.length; start += way.step) {
      const part = piece.subarray(start, start + way.step);
      await way.pass(part.length);
      onPassed();
      setTimeout(() => {
        if (to.writable) to.write(part);
      }, lateMs);
    }
  }
}
