import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { onTestFinished } from 'vitest';

import type { OnEnd } from './clean-up.js';

/** `up`: from the client to the relay; `down`: from the relay to the client. */
export type Direction = 'up' | 'down';

/** What the proxy does to connections. Bytes are counted per connection and direction, those of TLS included. */
export type Fault =
  /** Both sides lose the connection after so many bytes. */
  | { readonly type: 'cut'; readonly direction: Direction; readonly after: number }
  /** Nothing moves any more in this direction after so many bytes, until the fault is taken away. */
  | { readonly type: 'stall'; readonly direction: Direction; readonly after: number }
  /** The receiver sees an orderly end after so many bytes. */
  | { readonly type: 'truncate'; readonly direction: Direction; readonly after: number }
  /** One bit of the byte with this number is changed. */
  | { readonly type: 'flip'; readonly direction: Direction; readonly at: number }
  /** Each piece waits so long, in ms. */
  | { readonly type: 'delay'; readonly direction: Direction; readonly ms: number };

/** A TCP proxy on loopback that can be told to misbehave. */
export interface FaultProxy {
  readonly port: number;
  /**
   * Sets the fault for all connections, those that are open included; none makes the proxy honest again.
   *
   * @param times how often the fault may strike; always unless given
   */
  readonly setFault: (fault?: Fault, times?: number) => void;
  /** Resolves when the fault that is set now, or the next one, strikes. */
  readonly struck: () => Promise<void>;
  /** How often faults have struck. */
  readonly strikes: () => number;
  /** Connections accepted so far. */
  readonly accepted: () => number;
  /** Most connections that were open at the same time. */
  readonly mostOpen: () => number;
  /** Bytes passed on so far, over all connections. */
  readonly passed: (direction: Direction) => number;
  /** Ends all connections. */
  readonly cutAll: () => void;
}

/** Starts a proxy in front of a port of the loopback interface. */
export async function startFaultProxy(
  targetPort: number,
  { onEnd = onTestFinished }: { readonly onEnd?: OnEnd } = {},
): Promise<FaultProxy> {
  const state = new ProxyState();
  const sockets = new Set<Socket>();
  let [accepted, open, mostOpen] = [0, 0, 0];
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    accepted += 1;
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    client.on('close', () => (open -= 1));
    const relay = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
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
    void pump(client, relay, 'up', state).catch(cut);
    void pump(relay, client, 'down', state).catch(cut);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cutAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onEnd(async () => {
    state.setFault(undefined);
    cutAll();
    server.close();
    await once(server, 'close');
  });
  return {
    port: (server.address() as AddressInfo).port, // listens on a TCP port
    setFault: (fault, times) => {
      state.setFault(fault, times);
    },
    struck: () => state.nextStrike(),
    strikes: () => state.strikes,
    accepted: () => accepted,
    mostOpen: () => mostOpen,
    passed: (direction) => state.passed[direction],
    cutAll,
  };
}

/** The fault, and what all connections have seen of it. */
class ProxyState {
  readonly passed = { up: 0, down: 0 };
  strikes = 0;
  #fault: Fault | undefined;
  #timesLeft = Infinity;
  #strikesOfFault = 0;
  readonly #events = new EventEmitter().setMaxListeners(0);

  setFault(fault: Fault | undefined, times = Infinity): void {
    this.#fault = fault;
    this.#timesLeft = times;
    this.#strikesOfFault = 0;
    this.#events.emit('changed');
  }

  /** The fault, as far as it concerns a direction. */
  faultOf(direction: Direction): Fault | undefined {
    return this.#timesLeft > 0 && this.#fault?.direction === direction ? this.#fault : undefined;
  }

  /** Resolves when the fault is set anew. */
  async changed(): Promise<void> {
    await once(this.#events, 'changed');
  }

  count(): void {
    this.strikes += 1;
    this.#strikesOfFault += 1;
    this.#timesLeft -= 1;
    this.#events.emit('strike');
  }

  async nextStrike(): Promise<void> {
    if (this.#strikesOfFault === 0) await once(this.#events, 'strike');
  }
}

/** Passes bytes on, one piece after another, as the fault allows. */
async function pump(from: Socket, to: Socket, direction: Direction, state: ProxyState): Promise<void> {
  let position = 0;
  let truncated = false;
  const pass = async (piece: Buffer): Promise<void> => {
    position += piece.length;
    state.passed[direction] += piece.length;
    if (piece.length > 0 && !to.write(piece)) await once(to, 'drain');
  };
  for await (const data of from) {
    let piece = data as Buffer; // a socket without encoding
    while (!truncated) {
      const fault = state.faultOf(direction);
      if (fault?.type === 'delay') {
        state.count();
        await delay(fault.ms);
      } else if (fault?.type === 'flip' && fault.at >= position && fault.at < position + piece.length) {
        state.count();
        piece = flipped(piece, fault.at - position);
      } else if (fault !== undefined && fault.type !== 'flip' && position + piece.length > fault.after) {
        const changed = state.changed();
        const allowed = Math.max(0, fault.after - position);
        await pass(piece.subarray(0, allowed));
        piece = piece.subarray(allowed);
        state.count();
        if (fault.type === 'cut') throw new Error('The connection is cut on purpose.');
        truncated = fault.type === 'truncate';
        if (truncated) to.end();
        else await changed;
        continue;
      }
      await pass(piece);
      break;
    }
  }
  to.end();
}

function flipped(piece: Buffer, index: number): Buffer {
  const copy = Buffer.from(piece);
  copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
  return copy;
}
