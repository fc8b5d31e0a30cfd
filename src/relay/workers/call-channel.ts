import type { Socket } from 'node:net';

import { describeProblem, type Problem, ProblemElsewhere } from '../problem-reporter.js';

/** The way to the other process: `send` of a child process, or of this one to its parent. */
export type Send = (message: object, socket: Socket | undefined, done: (error: Error | null) => void) => void;

/** Functions that one side offers to the other, by their names. */
type Calls<All> = { readonly [Name in keyof All]: (...parameters: never[]) => unknown };

type Message =
  | {
      readonly type: 'call';
      /** Undefined: nobody waits for an answer. */
      readonly number: number | undefined;
      readonly name: string;
      readonly parameters: readonly unknown[];
    }
  | { readonly type: 'answer'; readonly number: number; readonly result: unknown }
  | { readonly type: 'failure'; readonly number: number; readonly problem: Problem };

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One end of the way between two processes of a relay: calls of functions on the other side, several under way at once.
 * Both sides are this program, of one build, so what comes is taken for what it is declared to be.
 */
export class CallChannel<Theirs extends Calls<Theirs>> {
  readonly #send: Send;
  readonly #ours: ReadonlyMap<string, (...parameters: unknown[]) => unknown>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #carriedOut = new Set<Promise<void>>();
  #next = 0;
  #closed = false;

  /** @param ours what the other side may call */
  constructor(send: Send, ours: object) {
    this.#send = send;
    this.#ours = new Map(Object.entries(ours));
  }

  /**
   * Calls a function on the other side.
   *
   * @throws ProblemElsewhere as it fails there, or when the other side has ended
   */
  call<Name extends keyof Theirs & string>(
    name: Name,
    ...parameters: Parameters<Theirs[Name]>
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (this.#closed) return Promise.reject(otherSideEnded());
    const number = this.#next++;
    return new Promise((resolve, reject) => {
      // What the function there gives, as the type says.
      const take = (result: unknown): void => {
        resolve(result as Awaited<ReturnType<Theirs[Name]>>);
      };
      this.#waiting.set(number, { resolve: take, reject });
      this.#post({ type: 'call', number, name, parameters });
    });
  }

  /** Calls a function on the other side and does not wait for it. */
  tell<Name extends keyof Theirs & string>(name: Name, ...parameters: Parameters<Theirs[Name]>): void {
    this.#post({ type: 'call', number: undefined, name, parameters });
  }

  /** The same, and hands over a connection, which the function there gets as its last parameter. */
  hand(
    name: keyof Theirs & string,
    parameters: readonly unknown[],
    socket: Socket,
    done: (error: Error | null) => void,
  ): void {
    this.#send({ type: 'call', number: undefined, name, parameters } satisfies Message, socket, done);
  }

  /** To be told of all that comes. */
  receive(received: unknown, socket: unknown): void {
    const message = received as Message; // The other side is this program.
    switch (message.type) {
      case 'call':
        this.#track(this.#carryOut(message, socket));
        return;
      case 'answer':
        this.#settle(message.number)?.resolve(message.result);
        return;
      case 'failure':
        this.#settle(message.number)?.reject(new ProblemElsewhere(message.problem));
    }
  }

  /** To be told that nothing comes any more: whoever waits for an answer gets none. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.values()) reject(otherSideEnded());
    this.#waiting.clear();
  }

  /** Resolves when all calls that have come are carried out. */
  async carriedOut(): Promise<void> {
    await Promise.all(this.#carriedOut);
  }

  async #carryOut(
    { number, name, parameters }: Extract<Message, { type: 'call' }>,
    socket: unknown,
  ): Promise<void> {
    try {
      const result = await this.#ours.get(name)?.(...parameters, socket);
      if (number !== undefined) this.#post({ type: 'answer', number, result });
    } catch (error) {
      if (number !== undefined) this.#post({ type: 'failure', number, problem: describeProblem(error) });
    }
  }

  #track(work: Promise<void>): void {
    this.#carriedOut.add(work);
    void work.then(() => this.#carriedOut.delete(work));
  }

  #settle(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    return waiting;
  }

  /** What cannot be sent any more has nobody to be sent to. */
  #post(message: Message): void {
    if (!this.#closed) this.#send(message, undefined, ignore);
  }
}

function otherSideEnded(): ProblemElsewhere {
  return new ProblemElsewhere({
    kind: 'worker ended',
    sentence: 'Another process of the relay has ended before it answered.',
  });
}

function ignore(): void {
  // The end of the other process is told by itself.
}
