import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

/** A request that the proxy got. */
export interface SocksRequest {
  readonly user: string;
  readonly password: string;
  /** As it came: a name or an address. */
  readonly host: string;
  readonly port: number;
}

/** How the proxy behaves. */
export interface SocksBehaviour {
  /** Connects to this port of the loopback interface whatever host is asked for; `undefined` refuses the request. */
  readonly target: (request: SocksRequest) => number | undefined;
  /** Takes connections and answers nothing. */
  readonly silent?: boolean;
  /** Sends this instead of the first answer. */
  readonly greeting?: Uint8Array;
  /** What it says when it refuses a request; that the host cannot be reached unless given. */
  readonly refusal?: number;
  /** Whether it answers requests; it does unless told otherwise. */
  readonly connects?: boolean;
  /** Refuses every name and password. */
  readonly refusesAccounts?: boolean;
}

/** A SOCKS5 proxy on loopback (RFC 1928, RFC 1929) that tells what it was asked for. */
export interface SocksServer {
  readonly port: number;
  readonly requests: readonly SocksRequest[];
  readonly open: () => number;
  /** Ends all connections and listens no more. */
  readonly stop: () => Promise<void>;
  /** Listens again on the same port. */
  readonly start: () => Promise<void>;
}

const VERSION = 5;
const USER_PASSWORD = 2;
const HOST_UNREACHABLE = 4;

/** Starts a proxy that ends with the running test. */
export async function startSocksServer(behaviour: SocksBehaviour): Promise<SocksServer> {
  const requests: SocksRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => undefined).on('close', () => sockets.delete(client));
    serve(client, behaviour, requests, sockets).catch(() => client.destroy());
  });
  const start = async (port = 0): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  await start();
  onTestFinished(stop);
  const { port } = server.address() as AddressInfo; // listens on a TCP port
  return { port, requests, open: () => sockets.size, stop, start: () => start(port) };
}

async function serve(
  client: Socket,
  {
    target,
    silent = false,
    greeting,
    refusesAccounts = false,
    refusal = HOST_UNREACHABLE,
    connects = true,
  }: SocksBehaviour,
  requests: SocksRequest[],
  sockets: Set<Socket>,
): Promise<void> {
  const input = new Input(client);
  const [, methods = 0] = await input.read(2);
  await input.read(methods);
  if (silent) return;
  client.write(greeting ?? Buffer.of(VERSION, USER_PASSWORD));
  const [, userLength = 0] = await input.read(2);
  const user = (await input.read(userLength)).toString();
  const [passwordLength = 0] = await input.read(1);
  const password = (await input.read(passwordLength)).toString();
  if (refusesAccounts) {
    client.end(Buffer.of(1, 1));
    return;
  }
  client.write(Buffer.of(1, 0));
  const [, , , kind] = await input.read(4);
  const host = await readHost(input, kind);
  const port = (await input.read(2)).readUInt16BE();
  const request = { user, password, host, port };
  requests.push(request);
  if (!connects) return;
  const targetPort = target(request);
  const answer = targetPort === undefined ? refusal : 0;
  if (targetPort === undefined) {
    client.end(Buffer.of(VERSION, answer, 0, 1, 0, 0, 0, 0, 0, 0));
    return;
  }
  const relay = connect({ port: targetPort, host: '127.0.0.1' });
  sockets.add(relay);
  relay.on('error', () => client.destroy()).on('close', () => sockets.delete(relay));
  await once(relay, 'connect');
  client.write(Buffer.of(VERSION, answer, 0, 1, 127, 0, 0, 1, 0, 0));
  input.end();
  client.pipe(relay).pipe(client);
  client.on('close', () => relay.destroy());
}

async function readHost(input: Input, kind: number | undefined): Promise<string> {
  if (kind === 1) return (await input.read(4)).join('.');
  if (kind === 4) return (await input.read(16)).toString('hex');
  const [length = 0] = await input.read(1);
  return (await input.read(length)).toString();
}

/** Reads so many bytes at a time; what it has not given out goes back to the socket at the end. */
class Input {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
  }

  async read(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) {
      const more = this.#socket.read() as Buffer | null; // a socket without encoding
      if (more === null) await once(this.#socket, 'readable');
      else this.#bytes = Buffer.concat([this.#bytes, more]);
    }
    const read = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return read;
  }

  end(): void {
    if (this.#bytes.length > 0) this.#socket.unshift(this.#bytes);
  }
}
