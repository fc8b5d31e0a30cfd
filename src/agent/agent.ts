import { setMaxListeners } from 'node:events';

import { parseServerAddress } from '../protocol/index.js';
import { parseSocksProxy } from '../transport/index.js';
import { type AgentParts, limitsOf, makeParts } from './agent-parts.js';
import type { AgentApi, Caller, Stoppable } from './agent-api.js';
import { type Clock, SYSTEM_CLOCK } from './clock.js';
import type { DataFolder } from './data-folder.js';
import type { Database } from './database.js';
import { errorReport } from './error-report.js';
import type {
  AgentEvent,
  AgentInfo,
  DescriptionsResult,
  InspectResult,
  NetworkInfo,
  Page,
  ReceiveParams,
  SendParams,
  ServerInfo,
  ServerStats,
  ServerTestResult,
  Settings,
  TokenInfo,
  TransferInfo,
  TransferState,
} from './model.js';
import type { RunServices } from './run.js';
import type { GatePauses } from './server-gates.js';
import { rolesOf, type ServerRow } from './server-store.js';
import { judgeAgain } from './approval.js';
import { changesRoute, routeOf, showsAddress } from './proxy-settings.js';
import { testServer } from './server-test.js';
import { TRANSFER_STATES } from './transfer-states.js';

/** How an agent is opened. */
export interface AgentOptions {
  /** The agent's own folder; made if needed. */
  readonly dataDir: string;
  /** Where received files go unless told otherwise. */
  readonly downloadsDir: string;
  /** Server addresses to have in the server list. */
  readonly servers?: readonly string[];
  /** Address of a relay that runs beside the agent. It is added to the server list. */
  readonly embeddedRelayAddress?: string;
  /** Settings to change before anything runs. */
  readonly settings?: Partial<Settings>;
  readonly version: string;
  readonly log?: (level: 'error' | 'warn' | 'info' | 'debug', message: string) => void;
  /** For tests: other clocks than the machine's. */
  readonly clock?: Clock;
  /** For tests: shorter pauses before a relay that failed is asked again. */
  readonly gatePauses?: GatePauses;
}

/** An agent at work. */
export interface RunningAgent extends AgentApi {
  /** Resolves when a client asks the agent to stop. */
  readonly stopRequested: Promise<void>;
  /** Ends all work; what was done is recorded, and the next start goes on from there. */
  stop(): Promise<void>;
}

/** An agent on an open data folder. */
export class Agent implements RunningAgent {
  readonly stopRequested: Promise<void>;
  readonly #options: AgentOptions;
  readonly #folder: DataFolder;
  readonly #schemaVersion: number;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #abort = new AbortController();
  readonly #parts: AgentParts;
  readonly #services: RunServices;
  #requestStop: () => void = () => undefined;

  /**
   * @param folder locked by this process; `stop` unlocks it, and closes the database
   * @param schemaVersion that of the database
   */
  constructor(options: AgentOptions, folder: DataFolder, database: Database, schemaVersion: number) {
    this.#options = options;
    this.#folder = folder;
    this.#schemaVersion = schemaVersion;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#startedAt = this.#clock.now();
    setMaxListeners(0, this.#abort.signal);
    this.stopRequested = new Promise((resolve) => {
      this.#requestStop = resolve;
    });
    this.#parts = makeParts({
      database,
      folder,
      clock: this.#clock,
      downloadsDir: options.downloadsDir,
      ...(options.gatePauses === undefined ? {} : { gatePauses: options.gatePauses }),
      signal: this.#abort.signal,
      log: (level, message) => options.log?.(level, message),
      unexpected: errorReport(
        (message) => options.log?.('error', message),
        () => this.#clock.monotonic(),
      ),
    });
    this.#services = this.#parts.services;
  }

  async start(): Promise<void> {
    const { servers, sends, transfers } = this.#services;
    this.#ensureToken();
    if (this.#options.settings !== undefined) this.setSettings(this.#options.settings);
    const { embeddedRelayAddress, servers: wanted = [] } = this.#options;
    for (const address of [...wanted, ...(embeddedRelayAddress === undefined ? [] : [embeddedRelayAddress])])
      servers.ensure(parseServerAddress(address));
    await this.#folder.sweepSnapshots(new Set(sends.withSnapshot()));
    // A crash may have come between the end of a transfer and what follows it.
    for (const id of transfers.uncleaned()) this.#parts.steering.cleanUp(id);
    this.#parts.network.start();
    this.#parts.housekeeping.start();
    this.#parts.scheduler.start();
    this.#parts.replication.wake();
    this.#parts.relayTaskRunner.wake();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#parts.housekeeping.stop();
    this.#parts.network.stop();
    this.#services.gates.close();
    const { relayTaskRunner, replication, scheduler } = this.#parts;
    const ended = Promise.all([scheduler.stop(), replication.stop(), relayTaskRunner.stop()]);
    this.#parts.sessions.close();
    // Before the runs end, since they wait for what the threads are at, which nobody needs any more.
    await this.#services.ciphers.close();
    await ended;
    this.#services.progress.stop();
    this.#services.database.close();
    this.#folder.unlock();
  }

  info(): AgentInfo {
    const { embeddedRelayAddress, version, dataDir, downloadsDir } = this.#options;
    const { events, relayTasks, transfers } = this.#services;
    const counts = transfers.counts();
    return {
      version,
      pid: process.pid,
      startedAt: this.#startedAt,
      dataDir,
      downloadsDir,
      schemaVersion: this.#schemaVersion,
      network: this.#parts.network.info,
      transfers: countsOf(counts),
      relayTasks: relayTasks.count(),
      ...(embeddedRelayAddress === undefined ? {} : { embeddedRelay: embeddedRelayAddress }),
      events: events.range(),
    };
  }

  shutdown(): void {
    this.#requestStop();
  }

  setNetwork(network: { readonly online?: boolean | null; readonly metered?: boolean }): NetworkInfo {
    this.#parts.network.set(network);
    return this.#parts.network.info;
  }

  send(params: SendParams, caller: Caller): Promise<TransferInfo> {
    return this.#parts.intake.send(params, caller);
  }

  receive(params: ReceiveParams, caller: Caller): Promise<TransferInfo> {
    return this.#parts.intake.receive(params, caller);
  }

  inspect(source: { readonly description?: string; readonly link?: string }): InspectResult {
    return this.#parts.intake.inspect(source);
  }

  get(id: string): TransferInfo {
    return this.#services.transfers.info(id);
  }

  list(query: Parameters<AgentApi['list']>[0]): Page<TransferInfo> {
    return this.#services.transfers.list(query);
  }

  ownerOf(id: string): number | undefined {
    return this.#services.events.ownerOf(id);
  }

  pause(id: string): TransferInfo {
    return this.#parts.steering.pause(id);
  }

  resume(id: string): TransferInfo {
    return this.#parts.steering.resume(id);
  }

  cancel(id: string): TransferInfo {
    return this.#parts.steering.cancel(id);
  }

  retry(id: string): TransferInfo {
    return this.#parts.steering.retry(id);
  }

  approve(id: string): TransferInfo {
    return this.#parts.steering.approve(id);
  }

  remove(id: string, options?: { readonly cancel?: boolean }): void {
    this.#parts.steering.remove(id, options);
  }

  setPriority(id: string, priority: number): TransferInfo {
    return this.#parts.steering.setPriority(id, priority);
  }

  setLimit(id: string, bytesPerSecond: number | null): TransferInfo {
    return this.#parts.steering.setLimit(id, bytesPerSecond);
  }

  descriptions(id: string): Promise<DescriptionsResult> {
    return this.#parts.steering.descriptions(id);
  }

  addRecipients(id: string, count: number): Promise<DescriptionsResult> {
    return this.#parts.steering.addRecipients(id, count);
  }

  revoke(target: Parameters<AgentApi['revoke']>[0]): { readonly deletions: number } {
    return this.#parts.steering.revoke(target);
  }

  listServers(): readonly ServerInfo[] {
    return this.#services.servers.list().map((row) => this.#serverInfo(row));
  }

  addServer(server: Parameters<AgentApi['addServer']>[0]): ServerInfo {
    const { address, ...details } = server;
    const parsed = parseServerAddress(address);
    return this.#serverInfo(this.#changeServers(() => this.#services.servers.put(parsed, details)));
  }

  updateServer(id: number, change: Parameters<AgentApi['updateServer']>[1]): ServerInfo {
    return this.#serverInfo(this.#changeServers(() => this.#services.servers.update(id, change)));
  }

  removeServer(id: number): void {
    this.#changeServers(() => {
      this.#services.servers.remove(id);
    });
  }

  async testServer(address: string, options: Stoppable = {}): Promise<ServerTestResult> {
    const { signal = this.#abort.signal } = options;
    const server = this.#services.servers.withPassword(parseServerAddress(address));
    const result = await testServer(server, {
      clock: this.#clock,
      signal: AbortSignal.any([this.#abort.signal, signal]),
      route: (credentials) => routeOf(this.#parts.settings.current, credentials),
    });
    if (result.ok) this.#services.relays.retryServer(server);
    return result;
  }

  getSettings(): Settings {
    return this.#parts.settings.current;
  }

  setSettings(change: Partial<Settings>): Settings {
    const { database, events } = this.#services;
    if (change.socksProxy !== undefined && change.socksProxy !== null) parseSocksProxy(change.socksProxy);
    const before = this.#parts.settings.current;
    const settings = database.transaction(() => {
      const changed = this.#parts.settings.set(change);
      events.append('settings.changed', { settings: changed });
      return changed;
    });
    this.#parts.queue.setLimits(limitsOf(settings));
    this.#services.paces.setLimits(settings);
    if (changesRoute(before, settings)) {
      if (showsAddress(settings)) judgeAgain(this.#services, (id) => void this.#parts.scheduler.halt(id));
      // Nothing goes the old way any more, not even what is half sent.
      this.#parts.sessions.reset();
      this.#services.relays.retryAll();
    }
    return settings;
  }

  stats(): readonly ServerStats[] {
    return this.#services.servers.stats();
  }

  listEvents(query: Parameters<AgentApi['listEvents']>[0]): ReturnType<AgentApi['listEvents']> {
    const { events } = this.#services;
    return { events: events.list(query), lagged: events.lags(query), ...events.range() };
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    return this.#services.events.listen(listener);
  }

  listTokens(): readonly TokenInfo[] {
    return this.#parts.tokens.list();
  }

  createToken(token: Parameters<AgentApi['createToken']>[0]): TokenInfo & { readonly token: string } {
    return this.#parts.tokens.create(token);
  }

  revokeToken(id: number): void {
    this.#parts.tokens.revoke(id);
    // It is revoked, whatever becomes of the file: its connections have to end. The next start tries again.
    try {
      this.#ensureToken();
    } catch (error) {
      this.#services.report(error);
    }
  }

  authenticate(token: string): TokenInfo | undefined {
    return this.#parts.tokens.authenticate(token);
  }

  /** The token for clients on this machine is in a file; if it is lost or revoked, a new one takes its place. */
  #ensureToken(): void {
    const token = this.#folder.readToken();
    if (token !== undefined && this.#parts.tokens.authenticate(token) !== undefined) return;
    const name = `local ${new Date(this.#clock.now()).toISOString()}`;
    this.#services.database.transaction(() => {
      // One that cannot be written down is none.
      this.#folder.writeToken(this.#parts.tokens.create({ name, scope: 'admin' }).token);
    });
  }

  #changeServers<T>(change: () => T): T {
    const { database, events, relays } = this.#services;
    const changed = database.transaction(() => {
      const result = change();
      events.append('servers.changed', {});
      return result;
    });
    relays.serversChanged();
    return changed;
  }

  #serverInfo(row: ServerRow): ServerInfo {
    const { id, address, password, enabled, operator, priority } = row;
    const { gate, inMs } = this.#services.gates.status(address);
    return {
      id,
      address,
      hasPassword: password !== null,
      enabled: enabled === 1,
      ...(operator === null ? {} : { operator }),
      roles: rolesOf(row),
      priority,
      gate,
      ...(inMs === undefined ? {} : { retryAt: Math.round(this.#clock.now() + inMs) }),
    };
  }
}

function countsOf(counts: ReadonlyMap<TransferState, number>): Record<TransferState, number> {
  // Every state is in the list.
  return Object.fromEntries(TRANSFER_STATES.map((state) => [state, counts.get(state) ?? 0])) as Record<
    TransferState,
    number
  >;
}
