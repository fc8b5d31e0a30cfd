import { createServer, type Server, type Socket } from 'node:net';

import { type ControlActions, type ControlPasswords, ControlSession, GREETING } from './control-session.js';
import { listenOnLoopback } from './loopback.js';

/** Conversations at the same time: one for the operator, some for programs. */
const MAX_CONNECTIONS = 16;
/** Longest line, in bytes: a blocking notice needs a hundred. */
const MAX_LINE = 4096;
/** Silence after which a conversation ends, in ms. */
const IDLE_MS = 10 * 60 * 1000;

/** The port of the control commands: lines of text on loopback (protocol reference, section 11.6). */
export class ControlPort {
  readonly #passwords: ControlPasswords;
  readonly #actions: ControlActions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(passwords: ControlPasswords, actions: ControlActions) {
    this.#passwords = passwords;
    this.#actions = actions;
    // Whoever sends commands and says that these were all, as `nc -N` does, still reads the replies.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => void this.#converse(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Starts to listen, and gives the port.
   *
   * @param port 0 lets the system choose one
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO
   */
  listen(port: number): Promise<number> {
    return listenOnLoopback(this.#server, port, 'The control port');
  }

  /** Ends all conversations. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #converse(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined); // 'close' follows
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    const session = new ControlSession(this.#passwords, this.#actions);
    socket.write(GREETING);
    let isOver = false;
    try {
      for await (const line of linesOf(socket)) {
        if (isOver) continue;
        const reply = line === undefined ? undefined : await session.answer(line);
        if (reply === undefined) {
          isOver = true;
          // Not out of the loop, which would end the connection before everything is sent.
          socket.end(() => socket.destroy());
        } else if (reply !== '' && !socket.write(`${reply}\n`)) await drained(socket);
      }
      socket.end();
    } catch {
      socket.destroy(); // The connection broke; nobody is left to tell.
    }
  }
}

/** The lines that come, without their ends, which the last one need not have; undefined for one that is too long. */
async function* linesOf(socket: Socket): AsyncGenerator<string | undefined> {
  let rest = '';
  // The socket must outlive the last byte: replies go out after it.
  for await (const piece of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    const lines = (rest + String(piece)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.replace(/\r$/, '');
    if (rest.length <= MAX_LINE) continue;
    rest = '';
    yield undefined;
  }
  if (rest !== '') yield rest.replace(/\r$/, '');
}

/** Resolves when the client has taken what was written, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.once('drain', done).once('close', done);
    if (socket.destroyed) done();
  });
}
