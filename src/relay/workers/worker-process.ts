import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

import type { Problem } from '../problem-reporter.js';
import type { RecordOwner } from '../record-owner.js';
import type { WrongStart } from '../services.js';
import type { ShownIdentity } from '../shown-identity.js';
import { CallChannel } from './call-channel.js';
import type { OwnerCalls, WorkerCalls, WorkerMeasures, WorkerSettings } from './worker-calls.js';

/** Beside this module, and beside the programs that it is bundled into. */
const PROGRAM = fileURLToPath(new URL('./connection-worker.js', import.meta.url));

/** How long a worker has for an answer, in ms: one that is busier, or hangs, must not hold up the others. */
const ANSWER_MS = 2000;
/** How much longer than its requests a worker may take for its end, in ms. */
const STOP_GRACE_MS = 3000;

const TOO_MANY_FILES: Problem = {
  kind: 'worker EMFILE',
  sentence:
    'A connection worker could not take a connection: too many files are open, raise the limit (LimitNOFILE of the ' +
    'service, or ulimit -n).',
};

/** What workers have of the relay. */
export interface WorkerSurroundings {
  readonly owner: RecordOwner;
  readonly failed: (problem: Problem) => void;
  readonly tlsFailed: (reason: string) => void;
  readonly misled: (first: WrongStart) => void;
}

interface HandedConnection {
  readonly ended: () => void;
  /** Until it has been handed over. */
  socket: Socket | undefined;
}

/** A process that serves connections, as the owner of the records sees it. What it holds there comes back when it ends. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #channel: CallChannel<WorkerCalls>;
  readonly #owner: RecordOwner;
  readonly #failed: WorkerSurroundings['failed'];
  readonly #shutdownMs: number;
  readonly #connections = new Map<number, HandedConnection>();
  readonly #tickets = new Set<string>();
  #next = 0;
  #waiting = 0;
  #measures: WorkerMeasures | undefined;
  #ready = false;

  /** Resolves when it serves, or has ended before. */
  readonly started: Promise<void>;
  /** Resolves, when all that it held has come back, with how it ended: `SIGKILL`, `exit code 1`. */
  readonly ended: Promise<string>;

  /** @throws as the system does when it cannot start a process */
  constructor(settings: WorkerSettings, surroundings: WorkerSurroundings) {
    this.#owner = surroundings.owner;
    this.#failed = surroundings.failed;
    this.#shutdownMs = settings.limits.shutdownMs;
    const child = fork(PROGRAM, [], {
      serialization: 'advanced',
      // Out of the reach of a terminal, whose signals would end it before it can take care of them.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.#channel = new CallChannel<WorkerCalls>((message, socket, done) => {
      // Kept open here until it is sent: Node would forget, open, what it cannot send to a process that has just ended.
      child.send(message, socket, { keepOpen: true }, done);
    }, this.#calls(surroundings));
    child.on('message', (message, socket) => {
      this.#channel.receive(message, socket);
    });
    this.ended = this.#end();
    this.started = this.#channel.call('start', settings).then(
      () => {
        this.#ready = true;
      },
      () => undefined,
    );
  }

  /** Its number; undefined when it could not be started at all. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether it serves connections. */
  get ready(): boolean {
    return this.#ready;
  }

  /** How many connections it serves. */
  get load(): number {
    return this.#connections.size;
  }

  /** Connections that wait until it takes them: more than one only while it does nothing else, or nothing at all. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Hands a connection over. */
  take(socket: Socket, client: string | undefined, ended: () => void): void {
    const number = this.#next++;
    const connection: HandedConnection = { ended, socket };
    this.#connections.set(number, connection);
    this.#waiting += 1;
    socket.on('error', ignore);
    this.#channel.hand('take', [number, client], socket, (error) => {
      this.#waiting -= 1;
      connection.socket = undefined;
      socket.destroy(); // The worker has it, or nobody.
      if (error === null) void this.#makeSureOf(number);
      else this.#forget(number);
    });
  }

  /** A process that may have no more files open does not get what is sent to it, and Node tells neither side. */
  async #makeSureOf(number: number): Promise<void> {
    const has = await this.#channel.call('has', number).catch(ignore);
    if (has !== false || !this.#connections.has(number)) return;
    this.#failed(TOO_MANY_FILES);
    this.#forget(number);
  }

  /** Resolves when it shows something else, has ended, or is so busy that it will when it has the time. */
  async show(shown: ShownIdentity): Promise<void> {
    await inTime(this.#channel.call('show', shown));
  }

  /** Closes connections whose last request started before a time, in ms. */
  closeUnusedSince(time: number): void {
    this.#channel.tell('closeUnusedSince', time);
  }

  /** What it is like now, or was like when it last had the time to tell; undefined if it never had. */
  async measure(): Promise<WorkerMeasures | undefined> {
    this.#measures = (await inTime(this.#channel.call('measure'))) ?? this.#measures;
    return this.#measures;
  }

  /** Lets it finish its requests as long as the limits say, and ends it. */
  async stop(): Promise<void> {
    const deadline = setTimeout(() => {
      this.kill();
    }, this.#shutdownMs + STOP_GRACE_MS);
    await this.#channel.call('stop').catch(ignore);
    if (this.#child.connected) this.#child.disconnect();
    await this.ended;
    clearTimeout(deadline);
  }

  /** Ends it at once. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #calls({ owner, failed, tlsFailed, misled }: WorkerSurroundings): OwnerCalls {
    const endTicket = async <T>(ticket: string, end: Promise<T>): Promise<T> => {
      try {
        return await end;
      } finally {
        this.#tickets.delete(ticket);
      }
    };
    return {
      ...owner,
      beginUpload: async (senderId, client) => {
        const start = await owner.beginUpload(senderId, client);
        if ('ticket' in start) this.#tickets.add(start.ticket);
        return start;
      },
      commitUpload: (ticket) => endTicket(ticket, owner.commitUpload(ticket)),
      abandonUpload: (ticket) => endTicket(ticket, owner.abandonUpload(ticket)),
      ended: (number) => {
        this.#forget(number);
      },
      failed,
      tlsFailed,
      misled,
    };
  }

  async #end(): Promise<string> {
    const child = this.#child;
    // What it said last is read until the channel has ended too. Node tells that by 'disconnect' where this process has
    // ended the channel, and by 'close' where the worker died with connections that it was about to take.
    const disconnected = new Promise<void>((resolve) => {
      child.once('disconnect', resolve).once('close', () => {
        resolve();
      });
    });
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve(signal ?? `exit code ${String(code)}`);
      });
    });
    const failed = new Promise<string>((resolve) => {
      child.on('error', (error) => {
        // Also told of what could not be sent, to a process that is about to end.
        if (child.pid === undefined) resolve(error.message);
      });
    });
    const how = await Promise.race([failed, Promise.all([exited, disconnected]).then(([first]) => first)]);
    this.#ready = false;
    this.#channel.close();
    for (const number of this.#connections.keys()) this.#forget(number);
    await this.#channel.carriedOut();
    await Promise.all([...this.#tickets].map((ticket) => this.#owner.abandonUpload(ticket)));
    return how;
  }

  #forget(number: number): void {
    const connection = this.#connections.get(number);
    this.#connections.delete(number);
    connection?.socket?.destroy();
    connection?.ended();
  }
}

/** What a worker answers; undefined when it does not in time, or ends. */
async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ANSWER_MS, undefined);
  });
  const first = await Promise.race([answer.catch(ignore), late]);
  clearTimeout(timer);
  return first ?? undefined;
}

function ignore(): void {
  // The end, of the process or of the connection, is told by itself.
}
