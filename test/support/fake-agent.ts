import { randomBytes } from 'node:crypto';

import type {
  AgentApi,
  AgentEvent,
  DurableEvent,
  NetworkInfo,
  ServerInfo,
  Settings,
  TokenInfo,
  TokenScope,
  TransferInfo,
  TransferState,
} from '#src/agent/index.js';
import { SERVER_ROLES } from '#src/agent/index.js';
import { formatServerAddress, parseServerAddress, XftpError } from '#src/protocol/index.js';

type Body<E> = E extends DurableEvent ? Omit<E, 'seq' | 'at'> : never;

/** An agent that keeps everything in memory and moves no file: what the RPC needs behind it. */
export interface FakeAgent extends AgentApi {
  /** Secret of a token with the scope. */
  readonly token: (scope: TokenScope, folders?: readonly string[]) => string;
  /** Commits a durable event and tells it. */
  readonly commit: (event: Body<DurableEvent>) => DurableEvent;
  /** Tells how a transfer moves. */
  readonly progress: (transferId: string, bytesDone: number) => void;
  /** Forgets the events before this number. */
  readonly forgetBefore: (seq: number) => void;
  /** Called when the agent is asked to stop. */
  onShutdown: () => void;
  /** Calls that reached it, for what came through. */
  readonly received: { readonly method: string; readonly params: unknown }[];
  /** Has the next call of `get` do this. */
  onGet: ((id: string) => TransferInfo) | undefined;
  /** `testServer` answers when this is resolved. */
  testing: Promise<void>;
  readonly listeners: () => number;
}

const STATES: readonly TransferState[] = [
  'queued',
  'preparing',
  'uploading',
  'awaiting_approval',
  'downloading',
  'verifying',
  'waiting',
  'paused',
  'failed',
  'cancelled',
  'completed',
];

export function createFakeAgent(): FakeAgent {
  const tokens = new Map<string, TokenInfo>();
  const transfers = new Map<string, TransferInfo>();
  const servers = new Map<number, ServerInfo>();
  const owners = new Map<string, number>();
  const listeners = new Set<(event: AgentEvent) => void>();
  const received: { method: string; params: unknown }[] = [];
  let events: DurableEvent[] = [];
  let newest = 0;
  let lastId = 0;
  let network: NetworkInfo = { online: true, source: 'observed', metered: false };
  let settings: Settings = {
    chunksPerServer: 4,
    chunksTotal: 16,
    chunkSizes: 'normal',
    uploadLimit: null,
    downloadLimit: null,
    maxFileSize: 2 ** 30,
    replicas: 1,
    deadlineHours: 48,
    eventDays: 30,
    eventCount: 100_000,
    transferDays: null,
    approveRelays: 'ask',
    socksProxy: null,
    socksMode: 'always',
    onionHosts: 'prefer',
    isolation: 'server',
    coverTraffic: false,
  };

  const nextId = (): number => ++lastId;
  const tell = (event: AgentEvent): void => {
    for (const listener of listeners) listener(event);
  };
  const oldest = (): number => events[0]?.seq ?? 0;

  function commit(event: Body<DurableEvent>): DurableEvent {
    newest += 1;
    // Spreading loses which data goes with which type.
    const durable = { seq: newest, at: Date.now(), ...event } as DurableEvent;
    events.push(durable);
    tell(durable);
    return durable;
  }

  function find(id: string): TransferInfo {
    const transfer = transfers.get(id);
    if (transfer === undefined) throw new XftpError('NOT_FOUND', 'There is no such transfer.');
    return transfer;
  }

  function change(id: string, changes: Partial<TransferInfo>): TransferInfo {
    const before = find(id);
    const after = { ...before, ...changes, updatedAt: Date.now() };
    transfers.set(id, after);
    if (after.state !== before.state)
      commit({ type: 'transfer.state', transferId: id, data: { from: before.state, to: after.state } });
    return after;
  }

  function create(
    direction: 'send' | 'receive',
    details: Partial<TransferInfo>,
    tokenId: number,
  ): TransferInfo {
    const transfer: TransferInfo = {
      id: `t${String(nextId())}`,
      direction,
      state: 'queued',
      priority: 0,
      bytesDone: 0,
      chunksDone: 0,
      chunksTotal: 1,
      createdAt: Date.now(),
      updatedAt: Date.now(),
      deadline: Date.now() + 1000,
      run: 1,
      ...details,
    };
    transfers.set(transfer.id, transfer);
    owners.set(transfer.id, tokenId);
    commit({ type: 'transfer.created', transferId: transfer.id, data: { transfer } });
    return transfer;
  }

  function createToken(token: Omit<TokenInfo, 'id' | 'createdAt'>): TokenInfo & { token: string } {
    const secret = randomBytes(24).toString('base64url');
    const info = { ...token, id: nextId(), createdAt: Date.now() };
    tokens.set(secret, info);
    return { ...info, token: secret };
  }

  function server(id: number): ServerInfo {
    const found = servers.get(id);
    if (found === undefined) throw new XftpError('NOT_FOUND', 'There is no such server.');
    return found;
  }

  const agent: FakeAgent = {
    token: (scope, folders) =>
      createToken({ name: scope, scope, ...(folders === undefined ? {} : { folders }) }).token,
    commit,
    progress: (transferId, bytesDone) => {
      const data = { state: 'uploading', bytesDone, bytesTotal: 1000, bytesPerSecond: 1 } as const;
      tell({ at: Date.now(), type: 'transfer.progress', transferId, data });
    },
    forgetBefore: (seq) => {
      events = events.filter((event) => event.seq >= seq);
    },
    onShutdown: () => undefined,
    received,
    onGet: undefined,
    testing: Promise.resolve(),
    listeners: () => listeners.size,

    info: () => ({
      version: '0.0.0',
      pid: process.pid,
      startedAt: 1,
      dataDir: '/data',
      downloadsDir: '/downloads',
      schemaVersion: 1,
      network,
      // Every state is there.
      transfers: Object.fromEntries(
        STATES.map((state) => [state, [...transfers.values()].filter((each) => each.state === state).length]),
      ) as Record<TransferState, number>,
      relayTasks: 2,
      events: { oldest: oldest(), newest },
    }),
    shutdown: () => {
      agent.onShutdown();
    },
    setNetwork: (given) => {
      const { online, metered = network.metered } = given;
      network =
        online === null || online === undefined
          ? { online: true, source: 'observed', metered }
          : { online, source: 'client', metered };
      commit({ type: 'network.changed', data: { network } });
      return network;
    },
    send: (params, { tokenId }) => {
      received.push({ method: 'send', params });
      const details = { path: params.path, recipients: { handedOut: 1, spare: 0 } };
      return Promise.resolve(create('send', details, tokenId));
    },
    receive: (params, { tokenId }) => {
      received.push({ method: 'receive', params });
      return Promise.resolve(create('receive', {}, tokenId));
    },
    inspect: () => ({ party: 'recipient', encryptedSize: 65536, chunks: 1, servers: [] }),
    get: (id) => (agent.onGet ?? find)(id),
    list: ({ limit, tokenId }) => ({
      items: [...transfers.values()]
        .filter(({ id }) => tokenId === undefined || owners.get(id) === tokenId)
        .reverse()
        .slice(0, limit),
    }),
    ownerOf: (id) => owners.get(id),
    pause: (id) => change(id, { state: 'paused' }),
    resume: (id) => change(id, { state: 'queued' }),
    cancel: (id) => change(id, { state: 'cancelled' }),
    retry: (id) => change(id, { state: 'queued', run: find(id).run + 1 }),
    approve: (id) => change(id, { state: 'downloading' }),
    remove: (id) => {
      find(id);
      transfers.delete(id);
      commit({ type: 'transfer.removed', transferId: id, data: {} });
    },
    setPriority: (id, priority) => change(id, { priority }),
    setLimit: (id, limit) => change(id, limit === null ? {} : { limit }),
    descriptions: (id) => {
      find(id);
      return Promise.resolve({ sender: 'sender: yaml', recipients: [], spare: 1 });
    },
    addRecipients: (id) => agent.descriptions(id),
    revoke: () => ({ deletions: 1 }),

    listServers: () => [...servers.values()],
    addServer: ({ address, enabled = true, operator, roles = SERVER_ROLES, priority = 0 }) => {
      const added: ServerInfo = {
        id: nextId(),
        address: formatServerAddress(parseServerAddress(address)),
        hasPassword: false,
        enabled,
        roles,
        priority,
        gate: 'open',
        ...(operator === undefined ? {} : { operator }),
      };
      servers.set(added.id, added);
      return added;
    },
    updateServer: (id, { enabled, roles, priority }) => {
      const before = server(id);
      const changed = {
        ...before,
        enabled: enabled ?? before.enabled,
        roles: roles ?? before.roles,
        priority: priority ?? before.priority,
      };
      servers.set(id, changed);
      return changed;
    },
    removeServer: (id) => {
      server(id);
      servers.delete(id);
    },
    testServer: async (address) => {
      await agent.testing;
      return { address, ok: true, steps: [{ step: 'name', ok: true, ms: 1 }] };
    },
    getSettings: () => settings,
    setSettings: (changes) => {
      settings = { ...settings, ...changes };
      return settings;
    },
    stats: () => [
      {
        address: 'xftp://AAAA@relay.example',
        actions: [{ action: 'upload', attempts: 3, successes: 2, bytes: 131072, meanMs: 10 }],
        failures: [{ kind: 'temporary', count: 1, lastAt: 1 }],
      },
    ],

    listEvents: ({ since = 0, types, transferId, tokenId, limit }) => ({
      events: events
        .filter(
          ({ seq, type, transferId: of }) =>
            seq > since &&
            (types === undefined || types.includes(type)) &&
            (transferId === undefined || transferId === of) &&
            (tokenId === undefined || of === undefined || owners.get(of) === tokenId),
        )
        .slice(0, limit),
      lagged: newest > 0 && since < (events.length === 0 ? newest : oldest() - 1),
      oldest: oldest(),
      newest,
    }),
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    listTokens: () => [...tokens.values()],
    createToken,
    revokeToken: (id) => {
      for (const [secret, info] of tokens) if (info.id === id) tokens.delete(secret);
    },
    authenticate: (secret) => tokens.get(secret),
  };
  return agent;
}
