import { setMaxListeners } from 'node:events';

import { XftpError } from '../protocol/index.js';
import type { MethodName, MethodResult } from '../rpc/index.js';

import { findAgent } from './agent-endpoint.js';
import { type AgentLink, dialAgent } from './agent-link.js';
import type {
  AgentClient,
  CallArguments,
  CallOptions,
  ConnectOptions,
  MethodGroup,
} from './client-interface.js';
import { eventStream } from './event-stream.js';

/** What the language itself looks for in an object: who awaits a group, or writes it as JSON, makes no call. */
const NO_METHODS: ReadonlySet<string> = new Set(['then', 'toJSON']);

/**
 * Connects to an agent: the one of the user's data folder unless told.
 *
 * @throws XftpError AGENT_UNREACHABLE, UNAUTHENTICATED, FORBIDDEN, LIMIT_EXCEEDED or CANCELLED.
 */
export async function connectAgent(options: ConnectOptions = {}): Promise<AgentClient> {
  const { dataDir, endpoint, token } = options;
  const closing = new AbortController();
  // Every iteration of events listens: many listeners are no leak here.
  setMaxListeners(0, closing.signal);
  // An agent that was started again may listen elsewhere, so it is looked for each time.
  const dial = async (signal: AbortSignal): Promise<AgentLink> =>
    await dialAgent(
      endpoint ?? { ...(await findAgent(dataDir)), ...(token === undefined ? {} : { token }) },
      signal,
    );

  let link = await dial(anyOf(closing.signal, options.signal));
  let dialing: Promise<AgentLink> | undefined;

  /** The link, made anew if it broke; those who want it at the same time share one attempt. */
  async function openLink(): Promise<AgentLink> {
    if (closing.signal.aborted) throw new XftpError('CANCELLED', 'The client was closed.');
    if (link.isOpen()) return link;
    dialing ??= dial(closing.signal).finally(() => {
      dialing = undefined;
    });
    link = await dialing;
    return link;
  }

  async function send(method: string, params: object = {}, callOptions: CallOptions = {}): Promise<unknown> {
    const open = await untilAborted(openLink(), callOptions.signal);
    return await open.call(method, params, callOptions);
  }

  /** Any `GROUP.name` as a function; which names there are is known to the compiler only. */
  function group<G extends string>(name: G): MethodGroup<G> {
    const target = {};
    const methods = new Proxy(target, {
      get: (_target, member): unknown =>
        typeof member === 'symbol' || member in target || NO_METHODS.has(member)
          ? Reflect.get(target, member)
          : (params?: object, callOptions?: CallOptions) => send(`${name}.${member}`, params, callOptions),
    });
    return methods as MethodGroup<G>; // As the proxy makes each of its members when it is asked for.
  }

  return {
    call: async <N extends MethodName>(method: N, ...args: CallArguments<N>) => {
      const [params, callOptions] = args as [params?: object, options?: CallOptions]; // Parameters are objects.
      return (await send(method, params, callOptions)) as MethodResult<N>; // By the agent's contract.
    },
    agent: group('agent'),
    transfers: group('transfers'),
    servers: group('servers'),
    settings: group('settings'),
    stats: group('stats'),
    tokens: group('tokens'),
    events: (eventsOptions = {}) => eventStream(dial, eventsOptions, closing.signal),
    close: async () => {
      closing.abort();
      await link.close();
    },
  };
}

function anyOf(signal: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? signal : AbortSignal.any([signal, other]);
}

/** The promise, or CANCELLED as soon as the signal aborts. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new XftpError('CANCELLED', 'The call was cancelled.'));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}
