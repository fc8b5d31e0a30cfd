import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { onTestFinished, vi } from 'vitest';

import { type AgentEvent, type Clock, type RunningAgent, openAgent } from '#src/agent/index.js';
import { ChunkStore } from '#src/agent/chunk-store.js';
import { Database } from '#src/agent/database.js';
import { ReceiveStore, SendStore } from '#src/agent/detail-stores.js';
import { describeTransfer } from '#src/agent/describe-transfer.js';
import { EventLog } from '#src/agent/event-log.js';
import { migrate } from '#src/agent/migrations.js';
import type { TransferInfo, TransferState } from '#src/agent/model.js';
import { RelayTaskStore } from '#src/agent/relay-task-store.js';
import { TransferStore } from '#src/agent/transfer-store.js';
import { temporaryFolder } from '../support/temporary-folder.js';

/** A clock that stands still until it is moved. */
export interface FakeClock extends Clock {
  /** Moves both times. */
  readonly advance: (ms: number) => void;
}

/** Starts at a time that is easy to recognise. */
export function fakeClock(start = Date.UTC(2030, 0, 1)): FakeClock {
  let passed = 0;
  return {
    now: () => start + passed,
    monotonic: () => passed,
    advance: (ms) => {
      passed += ms;
    },
  };
}

/** A migrated database in a temporary folder, closed when the test ends. */
export async function testDatabase(): Promise<Database & { readonly path: string }> {
  const path = join(await temporaryFolder(), 'agent.sqlite');
  const database = new Database(path);
  onTestFinished(() => {
    database.close();
  });
  migrate(database);
  return Object.assign(database, { path });
}

/** The stores of an agent over a database of their own. */
export interface TestStores {
  readonly database: Database;
  readonly clock: FakeClock;
  readonly events: EventLog;
  readonly transfers: TransferStore;
  readonly sends: SendStore;
  readonly receives: ReceiveStore;
  readonly relayTasks: RelayTaskStore;
  /** What the listeners of events threw. */
  readonly listenerErrors: unknown[];
  /** Adds a queued transfer. */
  readonly add: (id: string, direction?: 'send' | 'receive') => void;
}

/** See {@link TestStores}. */
export async function testStores(): Promise<TestStores> {
  const database = await testDatabase();
  const clock = fakeClock();
  const listenerErrors: unknown[] = [];
  const events = new EventLog(database, clock, (error) => listenerErrors.push(error));
  const sends = new SendStore(database);
  const receives = new ReceiveStore(database);
  const chunks = new ChunkStore(database, clock);
  const relayTasks = new RelayTaskStore(database, clock);
  const transfers = new TransferStore({
    database,
    clock,
    events,
    describe: (row) => describeTransfer(row, { sends, chunks, relayTasks, unapproved: () => [] }),
  });
  const add: TestStores['add'] = (id, direction = 'send') => {
    transfers.create(
      { id, direction, tokenId: 1, priority: 0, deadline: clock.now() + 1000 },
      () => undefined,
    );
  };
  return { database, clock, events, transfers, sends, receives, relayTasks, listenerErrors, add };
}

/** How an agent of a test is to be. */
export interface TestAgentOptions {
  readonly servers?: readonly string[];
  readonly clock?: Clock;
  readonly gatePauses?: { readonly firstMs: number; readonly longestMs: number };
}

/** An agent with its folders. */
export interface TestAgent extends RunningAgent {
  readonly dataDir: string;
  readonly downloads: string;
  /** A folder for sources, and for whatever else the test wants. */
  readonly folder: string;
  /** All events since it was opened. */
  readonly events: AgentEvent[];
  /** Mistakes of ours. */
  readonly errors: string[];
  /** Resolves when the transfer is in this state; rejects when it ends in another one. */
  readonly reached: (id: string, state: TransferState) => Promise<TransferInfo>;
  /** Resolves when what `look` looks at is there. It is asked after every event, and often in between. */
  readonly until: <T>(look: () => T | undefined | false) => Promise<T>;
  /** Stops it and opens one on the same folders. */
  readonly reopen: (options?: TestAgentOptions) => Promise<TestAgent>;
}

/** The token that all calls are made with. */
export const CALLER = { tokenId: 1 };

/** Opens an agent that ends with the running test. */
export async function testAgent(options: TestAgentOptions = {}, home?: string): Promise<TestAgent> {
  const folder = home ?? (await temporaryFolder());
  const [dataDir, downloads] = [join(folder, 'agent'), join(folder, 'downloads')];
  mkdirSync(downloads, { recursive: true });
  const errors: string[] = [];
  const agent = await openAgent({
    dataDir,
    downloadsDir: downloads,
    version: '0.0.0-test',
    log: (level, message) => {
      if (level === 'error') errors.push(message);
    },
    ...options,
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= agent.stop());
  onTestFinished(stop);
  const events: AgentEvent[] = [];
  agent.onEvent((event) => events.push(event));
  const until: TestAgent['until'] = (look) =>
    vi.waitUntil(look as () => Exclude<ReturnType<typeof look>, undefined | false>, {
      timeout: 30_000,
      interval: 5,
    });
  // Methods are on the prototype: they are called on the agent itself.
  const bound = new Proxy(agent, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const own = {
    dataDir,
    downloads,
    folder,
    events,
    errors,
    until,
    stop,
    reached: async (id: string, state: TransferState) => {
      const look = (): TransferInfo | undefined => {
        const info = agent.get(id);
        if (info.state === state) return info;
        if (['failed', 'cancelled', 'completed'].includes(info.state))
          throw new Error(`It is ${info.state}: ${JSON.stringify(info.failure)}`);
        return undefined;
      };
      return until(look).catch((cause: unknown) => {
        throw new Error(`Not ${state}, but this: ${JSON.stringify(agent.get(id))}`, { cause });
      });
    },
    reopen: async (changes: TestAgentOptions = {}) => {
      await stop();
      return testAgent({ ...options, ...changes }, folder);
    },
  };
  return new Proxy(bound, {
    get: (target, name) => Reflect.get(name in own ? own : target, name) as unknown,
  }) as TestAgent; // the members of both
}
