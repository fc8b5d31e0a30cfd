import { RelayClient } from '../client/index.js';
import {
  cancelled,
  DEFAULT_DEADLINES,
  DEFAULT_IDLE_MS,
  DEFAULT_SESSIONS_PER_SERVER,
  openSession,
  parseSocksProxy,
  proxyAnswers,
  SessionPool,
} from '../transport/index.js';
import { CipherPool } from '../transfer/index.js';
import { unapprovedServers } from './approval.js';
import { ChunkFit } from './chunk-fit.js';
import { ChunkStore } from './chunk-store.js';
import type { Clock } from './clock.js';
import { coverSession } from './cover-traffic.js';
import type { DataFolder } from './data-folder.js';
import type { Database } from './database.js';
import { describeTransfer } from './describe-transfer.js';
import { ReceiveStore, SendStore } from './detail-stores.js';
import { asError } from './error-report.js';
import { EventLog } from './event-log.js';
import { Housekeeping } from './housekeeping.js';
import { Intake } from './intake.js';
import { isolationOf } from './isolation.js';
import type { Settings } from './model.js';
import { NetworkMonitor } from './network-monitor.js';
import { routeOf } from './proxy-settings.js';
import { ProgressTracker } from './progress-tracker.js';
import { type RedirectServices, storeRedirects } from './redirect-store.js';
import { RelayAccess } from './relay-access.js';
import { RelayTaskRunner } from './relay-task-runner.js';
import { RelayTaskStore } from './relay-task-store.js';
import { Replication } from './replication.js';
import type { RunServices } from './run.js';
import { Scheduler } from './scheduler.js';
import { type GatePauses, type GateStatus, ServerGates } from './server-gates.js';
import { StepPauses } from './step-pauses.js';
import { ServerHealth } from './server-health.js';
import { ServerStore } from './server-store.js';
import { SettingsStore } from './settings-store.js';
import { Steering } from './steering.js';
import { TokenStore } from './token-store.js';
import { TransferPaces } from './transfer-paces.js';
import { TransferStore } from './transfer-store.js';
import { isFinal } from './transfer-states.js';
import { type WorkLimits, WorkQueue } from './work-queue.js';

/** How often a stored description is looked at while its transfer waits for it, in ms. */
const LOOK_MS = 50;

/** What the parts of an agent are made with. */
export interface PartsOptions {
  readonly database: Database;
  readonly folder: DataFolder;
  readonly clock: Clock;
  readonly downloadsDir: string;
  readonly gatePauses?: GatePauses;
  /** Aborts when the agent stops. */
  readonly signal: AbortSignal;
  readonly log: (level: 'error' | 'warn' | 'info' | 'debug', message: string) => void;
  readonly unexpected: (error: unknown) => void;
}

/** The parts of an agent. */
export interface AgentParts {
  readonly services: RunServices;
  readonly settings: SettingsStore;
  readonly tokens: TokenStore;
  readonly network: NetworkMonitor;
  readonly queue: WorkQueue;
  readonly sessions: SessionPool;
  readonly scheduler: Scheduler;
  readonly replication: Replication;
  readonly relayTaskRunner: RelayTaskRunner;
  readonly intake: Intake;
  readonly steering: Steering;
  readonly housekeeping: Housekeeping;
}

/** Makes the parts of an agent and ties them together. Nothing runs yet. */
export function makeParts(options: PartsOptions): AgentParts {
  const { database, folder, clock, downloadsDir, gatePauses, signal, log, unexpected } = options;
  const events = new EventLog(database, clock, unexpected);
  const settings = new SettingsStore(database, (message) => {
    log('warn', message);
  });
  const tokens = new TokenStore(database, clock);
  const servers = new ServerStore(database, clock);
  const sends = new SendStore(database);
  const receives = new ReceiveStore(database);
  const relayTasks = new RelayTaskStore(database, clock);
  const chunks = new ChunkStore(database, clock);
  const transfers = new TransferStore({
    database,
    clock,
    events,
    describe: (row) =>
      describeTransfer(row, {
        sends,
        chunks,
        relayTasks,
        unapproved: (id) => unapprovedServers(id, receives, servers),
      }),
  });
  const tellOutage = outageLog(log);
  const gates: ServerGates = new ServerGates(
    clock,
    (server) => {
      tellOutage(server, gates.status(server));
    },
    gatePauses,
  );
  const steps = new StepPauses(clock, gatePauses);
  const network = new NetworkMonitor(
    {
      onForced: (online) => {
        gates.setShut(!online);
        if (online) steps.retry();
      },
      onAddresses: () => {
        gates.retryAll();
        steps.retry();
      },
      onChange: (network) => {
        // Whoever has found out goes on, and so does the network.
        try {
          events.append('network.changed', { network });
        } catch (error) {
          unexpected(error);
        }
      },
    },
    () => {
      const { socksProxy } = settings.current;
      return socksProxy === null ? Promise.resolve(true) : proxyAnswers(parseSocksProxy(socksProxy));
    },
  );
  const sessions = new SessionPool({
    open: async (server, signal, credentials) => {
      const route = routeOf(settings.current, credentials);
      const session = await openSession(server, {
        deadlines: DEFAULT_DEADLINES,
        signal,
        ...(route === undefined ? {} : { route }),
      });
      coverSession(session, { isOn: () => settings.current.coverTraffic });
      return session;
    },
    sessionsPerServer: DEFAULT_SESSIONS_PER_SERVER,
    idleMs: DEFAULT_IDLE_MS,
  });
  const queue = new WorkQueue(limitsOf(settings.current), clock);
  const relays = new RelayAccess({
    client: new RelayClient(sessions),
    gates,
    steps,
    queue,
    servers,
    network,
    clock,
    isolation: (owner, own) =>
      isolationOf(
        settings.current.isolation,
        own === undefined ? transfers.find(owner) : { isolation: own, byte_limit: null },
      ),
  });
  const services: RunServices = {
    database,
    clock,
    events,
    transfers,
    sends,
    receives,
    chunks,
    relayTasks,
    servers,
    relays,
    gates,
    health: new ServerHealth(clock),
    fit: new ChunkFit(clock),
    network,
    ciphers: new CipherPool(),
    progress: new ProgressTracker(clock, (event) => {
      events.emit(event);
    }),
    paces: new TransferPaces(settings.current),
    settings: () => settings.current,
    report: unexpected,
    snapshotPath: (id) => folder.snapshotPath(id),
    wake: () => {
      scheduler.wake();
    },
    wakeRelayTasks: () => {
      relayTaskRunner.wake();
    },
  };
  const redirects: RedirectServices = {
    services,
    finished: (id: string, until: AbortSignal) =>
      finished(services, (each) => scheduler.isRunning(each), id, until),
  };
  const scheduler: Scheduler = new Scheduler({
    services,
    storeRedirects: (run) => storeRedirects(run.id, run.signal, redirects),
    onFinal: (id) => {
      steering.cleanUp(id);
      replication.wake();
    },
    onUnexpected: unexpected,
  });
  const replication: Replication = new Replication({
    services,
    onEnd: (id) => {
      steering.cleanUp(id);
    },
    onUnexpected: unexpected,
  });
  const relayTaskRunner: RelayTaskRunner = new RelayTaskRunner({
    database,
    clock,
    events,
    sends,
    tasks: relayTasks,
    relays,
    onUnexpected: unexpected,
  });
  const intake = new Intake({
    services,
    snapshotPath: services.snapshotPath,
    downloadsDir,
    signal,
  });
  const steering: Steering = new Steering({
    services,
    scheduler,
    replication,
    storeRedirects: (id, until) => storeRedirects(id, until, redirects),
    signal,
    onUnexpected: unexpected,
  });
  const housekeeping = new Housekeeping({
    services,
    failOverdue: (id) => {
      scheduler.failOverdue(id);
    },
    giveUpReplicas: () => {
      replication.giveUpOverdue();
    },
    remove: (id) => {
      steering.remove(id);
    },
    onUnexpected: unexpected,
  });
  return {
    services,
    settings,
    tokens,
    network,
    queue,
    sessions,
    scheduler,
    replication,
    relayTaskRunner,
    intake,
    steering,
    housekeeping,
  };
}

/** Tells once that a relay fails, and why, and once that it is there again. */
function outageLog(log: PartsOptions['log']): (server: string, status: GateStatus) => void {
  const failing = new Set<string>();
  return (server, { gate, reason }) => {
    log('debug', `The gate of ${server} is ${gate}.`);
    if (gate === 'open') {
      if (failing.delete(server)) log('info', `${server} answers again.`);
    } else if (reason !== undefined && !failing.has(server)) {
      failing.add(server);
      log('warn', `${server} is tried again until it answers. ${reason.message}`);
    }
  };
}

/** How many jobs may run at once. */
export function limitsOf({ chunksPerServer, chunksTotal }: Settings): WorkLimits {
  return { perServer: chunksPerServer, total: chunksTotal };
}

/** Resolves when a transfer is over. Throws XftpError CANCELLED. */
function finished(
  { transfers }: RunServices,
  isRunning: (id: string) => boolean,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearInterval(timer);
      reject(cancelled());
    };
    const look = (): void => {
      try {
        if (!isFinal(transfers.find(id)?.state ?? 'cancelled') || isRunning(id)) return;
        resolve();
      } catch (error) {
        reject(asError(error));
      }
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const timer = setInterval(look, LOOK_MS);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    look();
  });
}
