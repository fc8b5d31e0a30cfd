import { XftpError } from '../protocol/index.js';
import type { AgentEvent } from '../rpc/index.js';

import { type AgentLink, isAborted, isConnectionFailure, type Told } from './agent-link.js';
import { createBackOff } from './back-off.js';
import type { EventsOptions } from './client-interface.js';

/** Events that wait for a slow consumer; beyond them the connection is not read. */
const MAX_WAITING = 1000;

/**
 * Events over as many connections as it takes. It has connections of its own, so that a slow consumer, whose connection
 * is not read for a while, can still make calls.
 */
export async function* eventStream(
  dial: (signal: AbortSignal) => Promise<AgentLink>,
  options: EventsOptions,
  closing: AbortSignal,
): AsyncGenerator<AgentEvent, void, undefined> {
  const { onLagged, onPosition, types, transferId } = options;
  const query = {
    ...(types === undefined ? {} : { types: [...types] }),
    ...(transferId === undefined ? {} : { transferId }),
    positions: true,
  };
  const signal = options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
  const backOff = createBackOff();
  let last = options.since;

  while (!signal.aborted) {
    let link: AgentLink | undefined;
    try {
      link = await dial(signal);
      const queue = eventQueue(link, signal);
      const since = last === undefined ? {} : { since: last };
      const start = await link.subscribe({ ...since, ...query }, queue.push, { signal });
      if (start.lagged) {
        await tellCaller(() => reportLag(last ?? 0, start.oldest, onLagged));
        await tellCaller(() => onPosition?.(start.seq));
      }
      if (last === undefined || start.lagged) last = start.seq;
      backOff.reset();
      for (;;) {
        const next = await queue.next();
        if (next === undefined) break;
        if (next.type !== 'transfer.progress') {
          if (next.seq <= last) continue;
          last = next.seq;
        }
        if (next.type === 'position') await tellCaller(() => onPosition?.(next.seq));
        else yield next;
      }
    } catch (error) {
      if (error instanceof CallbackFailure) throw error.cause;
      if (isAborted(signal)) return;
      if (!isConnectionFailure(error)) throw error;
    } finally {
      await link?.close();
    }
    await backOff.pause(signal);
  }
}

/** What a function of the caller has thrown: it ends the iteration, whatever it is. */
class CallbackFailure extends Error {}

async function tellCaller(tell: () => unknown): Promise<void> {
  try {
    await tell();
  } catch (cause) {
    throw new CallbackFailure('A function of the caller failed.', { cause });
  }
}

/** @throws XftpError NOT_FOUND when the caller has not said what to do about it. */
async function reportLag(since: number, oldest: number, onLagged: EventsOptions['onLagged']): Promise<void> {
  if (onLagged === undefined)
    throw new XftpError(
      'NOT_FOUND',
      `Events after number ${String(since)} are not kept any more, the oldest is ${String(oldest)}: ` +
        'look at all transfers anew.',
    );
  await onLagged({ since, oldest });
}

interface EventQueue {
  readonly push: (told: Told) => void;
  /** The next one; undefined when the connection has ended and all that it told was handed out, or on abort. */
  readonly next: () => Promise<Told | undefined>;
}

function eventQueue(link: AgentLink, signal: AbortSignal): EventQueue {
  const waiting: Told[] = [];
  let ended = false;
  let wake = (): void => undefined;
  const end = (): void => {
    ended = true;
    wake();
  };
  void link.closed.then(() => {
    signal.removeEventListener('abort', end);
    end();
  });
  signal.addEventListener('abort', end, { once: true });
  return {
    push: (told) => {
      waiting.push(told);
      if (waiting.length >= MAX_WAITING) link.pause();
      wake();
    },
    next: async () => {
      while (waiting.length === 0 && !ended)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (signal.aborted) return undefined;
      const told = waiting.shift();
      if (waiting.length < MAX_WAITING / 2) link.resume();
      return told;
    },
  };
}
