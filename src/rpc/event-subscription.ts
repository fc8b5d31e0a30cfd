import type { AgentApi, AgentEvent, TokenInfo } from '../agent/index.js';

import { mayKnow, ownOnly } from './path-access.js';
import type { SubscriptionInfo, SubscriptionQuery } from './method.js';

/** Where the events of a connection go. */
export interface EventOutlet {
  /** Sends, or closes the connection when too much waits there. */
  readonly durable: (text: string) => void;
  /** Sends, or drops it when much waits there. */
  readonly progress: (text: string) => void;
  /** Whether much waits there; what can be sent later had better be. */
  readonly isFull: () => boolean;
  /** Resolves when little waits there, or nothing more will be sent. */
  readonly drained: () => Promise<void>;
  /** Closes the connection because events were missed; the client comes back with the last number that it saw. */
  readonly overtaken: () => void;
  /** Closes the connection because of a bug. */
  readonly failed: (error: unknown) => void;
}

/** One subscription of one connection. */
export interface EventSubscription {
  readonly info: SubscriptionInfo;
  /** Begins to tell events: those of the past, then those that come. */
  readonly start: () => void;
  readonly stop: () => void;
}

/** What a new subscription needs. */
export interface SubscriptionOptions {
  readonly agent: AgentApi;
  readonly name: string;
  /** Whose it is. */
  readonly token: TokenInfo;
  readonly query: SubscriptionQuery;
  readonly outlet: EventOutlet;
  /** Durable events that are read at once. */
  readonly page: number;
  /** Milliseconds after which a client is told how far it is, when it was told of nothing. */
  readonly positionMs: number;
}

/**
 * Tells the events after `since`, each durable one once and in order. The past is read from the agent's list, at the
 * pace of the client, until nothing is left; in that same turn of the event loop the subscription becomes live, so
 * nothing is missed in between. What is committed while it still reads the past is in the list too. A live event that
 * the list had already is known by its number. A client that wants to know is told now and then how far it is: one that
 * asked for few of the events need not come back with a number whose followers are not kept any more.
 */
export function openSubscription(options: SubscriptionOptions): EventSubscription {
  const { agent, name, token, query, outlet, page, positionMs } = options;
  const { since, positions = false, ...filter } = query;
  const info = { subscription: name, ...startOf(agent, since, filter) };
  /** Up to here it was told of all that it asked for. */
  let last = info.seq;
  let state: 'opened' | 'past' | 'live' | 'ended' = 'opened';

  const stopListening = agent.onEvent((event) => {
    if (state !== 'live') return;
    const isWanted = matches(event, filter) && isTold(event);
    if (event.type === 'transfer.progress') {
      if (isWanted) outlet.progress(notification(name, event));
    } else if (event.seq > last) {
      last = event.seq;
      if (isWanted) outlet.durable(notification(name, event));
      else tellPositionSoon();
    }
  });

  function isTold({ transferId }: AgentEvent): boolean {
    return transferId === undefined || mayKnow(agent, transferId, token);
  }

  let timer: NodeJS.Timeout | undefined;
  function tellPositionSoon(): void {
    if (!positions) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      outlet.progress(positionNotification(name, last));
    }, positionMs).unref();
  }

  async function tellPast(): Promise<void> {
    while (state === 'past') {
      const { events, lagged, newest } = agent.listEvents({
        since: last,
        ...filter,
        ...ownOnly(token),
        limit: page,
      });
      if (lagged) {
        outlet.overtaken();
        return;
      }
      for (const event of events) {
        // Of what is before it nothing is missed, whatever is kept of that while the client reads.
        last = event.seq - 1;
        if (outlet.isFull()) break;
        last = event.seq;
        outlet.durable(notification(name, event));
      }
      const isAll = last >= (events.at(-1)?.seq ?? 0);
      if (isAll && events.length < page) {
        state = 'live';
        if (newest > last) tellPositionSoon();
        last = newest;
      } else await outlet.drained();
    }
  }

  return {
    info,
    start: () => {
      if (state !== 'opened') return;
      state = 'past';
      tellPast().catch(outlet.failed);
    },
    stop: () => {
      state = 'ended';
      clearTimeout(timer);
      stopListening();
    },
  };
}

/** Where a subscription begins. */
function startOf(
  agent: AgentApi,
  since: number | undefined,
  { transferId }: SubscriptionQuery,
): Omit<SubscriptionInfo, 'subscription'> {
  if (since === undefined) {
    const { oldest, newest } = agent.info().events;
    return { seq: newest, lagged: false, oldest };
  }
  const { lagged, oldest, newest } = agent.listEvents({
    since,
    ...(transferId === undefined ? {} : { transferId }),
    limit: 1,
  });
  // A number that was never given out comes from another database: nothing is known about what its owner missed.
  if (since > newest) return { seq: newest, lagged: true, oldest };
  return { seq: lagged ? Math.max(oldest - 1, 0) : since, lagged, oldest };
}

function matches(event: AgentEvent, { types, transferId }: SubscriptionQuery): boolean {
  return (
    (types === undefined || types.includes(event.type)) &&
    (transferId === undefined || event.transferId === transferId)
  );
}

/** The same event often goes to several clients; its JSON is made once. */
const jsonOf = new WeakMap<AgentEvent, string>();

function notification(subscription: string, event: AgentEvent): string {
  const json = jsonOf.get(event) ?? JSON.stringify(event);
  jsonOf.set(event, json);
  const members = json.slice(1);
  return `{"jsonrpc":"2.0","method":"event","params":{"subscription":${JSON.stringify(subscription)},${members}}`;
}

function positionNotification(subscription: string, seq: number): string {
  return JSON.stringify({ jsonrpc: '2.0', method: 'position', params: { subscription, seq } });
}
