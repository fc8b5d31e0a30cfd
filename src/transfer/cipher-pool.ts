import { Worker } from 'node:worker_threads';

import { XftpError } from '../protocol/index.js';
import { cancelled } from '../transport/index.js';
import { ChunkMemory } from './chunk-memory.js';
import {
  type CipherCallName,
  type CipherParameters,
  type CipherReply,
  type CipherResult,
  type SingleCallName,
} from './cipher-calls.js';

interface PendingCall {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** One worker thread, started with its first call. It keeps the process alive only while calls are under way. */
class CipherThread {
  readonly #pending = new Map<number, PendingCall>();
  #worker: Worker | undefined;
  #lastCall = 0;
  #stopped = false;
  /** Streams, and calls without one, that are at work here. */
  streams = 0;

  call<N extends CipherCallName>(name: N, parameters: CipherParameters<N>): Promise<CipherResult<N>> {
    if (this.#stopped) return Promise.reject(cancelled());
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, name, parameters });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./cipher-thread.js', import.meta.url));
    worker.on('message', (reply: CipherReply) => {
      this.#settle(reply);
    });
    // A thread that dies takes its streams with it; the next call starts another one.
    const onEnd = (cause?: Error): void => {
      // After an error its exit follows, when another worker may be at work already.
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      const error = new XftpError('LOCAL_IO', 'The encryption thread ended unexpectedly.', { cause });
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
    };
    worker.once('error', onEnd);
    worker.once('exit', () => {
      onEnd();
    });
    return worker;
  }

  #settle(reply: CipherReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) this.#worker?.unref();
    if ('failure' in reply) pending?.reject(new XftpError(reply.failure.code, reply.failure.message));
    // The thread answers each call with the result of its type.
    else pending?.resolve(reply.result as never);
  }
}

/** One file's encryption or decryption in a worker thread. */
export class CipherStream {
  readonly #thread: CipherThread;
  readonly #stream: number;
  #closed = false;

  constructor(thread: CipherThread, stream: number) {
    this.#thread = thread;
    this.#stream = stream;
    thread.streams += 1;
  }

  /** Makes a call for this stream; see {@link CipherCalls}. Throws XftpError. */
  call<N extends CipherCallName>(
    name: N,
    parameters: Omit<CipherParameters<N>, 'stream'>,
  ): Promise<CipherResult<N>> {
    if (this.#closed) return Promise.reject(cancelled());
    // Adding the stream completes the parameters of every call.
    return this.#thread.call(name, { ...parameters, stream: this.#stream });
  }

  /** Frees what the stream holds in its thread. Call it once, at the end. */
  async close(): Promise<void> {
    this.#thread.streams -= 1;
    const closing = this.call('close', {});
    this.#closed = true;
    // If the thread has ended, so has the stream.
    await closing.catch(() => undefined);
  }
}

/** Worker threads for the heavy byte work. A stream stays in one thread, new streams go to the least busy one. */
export class CipherPool {
  /** Memory for the chunks that go to the threads and come back. */
  readonly memory = new ChunkMemory();
  readonly #threads: readonly [CipherThread, ...CipherThread[]];
  #lastStream = 0;

  /** @param threads number of threads, at least 1 */
  constructor(threads = 1) {
    this.#threads = [new CipherThread(), ...Array.from({ length: threads - 1 }, () => new CipherThread())];
  }

  /** A new stream. */
  stream(): CipherStream {
    return new CipherStream(this.#leastBusy(), ++this.#lastStream);
  }

  /** Makes a call that belongs to no stream; see {@link CipherCalls}. Throws XftpError. */
  async call<N extends SingleCallName>(name: N, parameters: CipherParameters<N>): Promise<CipherResult<N>> {
    const thread = this.#leastBusy();
    thread.streams += 1;
    try {
      return await thread.call(name, parameters);
    } finally {
      thread.streams -= 1;
    }
  }

  #leastBusy(): CipherThread {
    return this.#threads.reduce((least, next) => (next.streams < least.streams ? next : least));
  }

  /** Ends all threads; calls under way fail. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }
}
