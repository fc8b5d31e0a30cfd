import { XftpError } from '../protocol/index.js';
import type { AgentEvent } from '../rpc/index.js';

import { type AgentLink, isAborted, isConnectionFailure } from './agent-link.js';
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
  const { onLagged, types, transferId } = options;
  const filter = {
    ...(types === undefined ? {} : { types: [...types] }),
    ...(transferId === undefined ? {} : { transferId }),
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
      const start = await link.subscribe({ ...since, ...filter }, queue.push, { signal });
      if (start.lagged) reportLag(last ?? 0, start.oldest, onLagged);
      if (last === undefined || start.lagged) last = start.seq;
      backOff.reset();
      for (;;) {
        const event = await queue.next();
        if (event === undefined) break;
        if (event.type !== 'transfer.progress') {
          if (event.seq <= last) continue;
          last = event.seq;
        }
        yield event;
      }
    } catch (error) {
      if (isAborted(signal)) return;
      if (!isConnectionFailure(error)) throw error;
    } finally {
      await link?.close();
    }
    await backOff.pause(signal);
  }
}

/** @throws XftpError NOT_FOUND when the caller has not said what to do about it. */
function reportLag(since: number, oldest: number, onLagged: EventsOptions['onLagged']): void {
  if (onLagged === undefined)
    throw new XftpError(
      'NOT_FOUND',
      `Events after number ${String(since)} are not kept any more, the oldest is ${String(oldest)}: ` +
        'look at all transfers anew.',
    );
  onLagged({ since, oldest });
}

interface EventQueue {
  readonly push: (event: AgentEvent) => void;
  /** The next event; undefined when the connection has ended and all its events were handed out, or on abort. */
  readonly next: () => Promise<AgentEvent | undefined>;
}

function eventQueue(link: AgentLink, signal: AbortSignal): EventQueue {
  const waiting: AgentEvent[] = [];
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
    push: (event) => {
      waiting.push(event);
      if (waiting.length >= MAX_WAITING) link.pause();
      wake();
    },
    next: async () => {
      while (waiting.length === 0 && !ended)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (signal.aborted) return undefined;
      const event = waiting.shift();
      if (waiting.length < MAX_WAITING / 2) link.resume();
      return event;
    },
  };
}
