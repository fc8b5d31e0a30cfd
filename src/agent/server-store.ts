import {
  type FailureKind,
  formatServerAddress,
  parseServerAddress,
  requireServerPassword,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { ServerAction, ServerRole, ServerStats } from './model.js';

/** Figures may be lost at a power loss; a flush for each request would cost more than the request. */
const NOT_FLUSHED = { flush: false } as const;

/** A row of `servers`. */
export interface ServerRow {
  readonly id: number;
  readonly address: string;
  readonly password: string | null;
  readonly enabled: number;
  readonly operator: string | null;
  /** Whether files are sent through it, as far as its role goes. */
  readonly sends: number;
  /** Whether downloads from it need no approval. */
  readonly approved: number;
  readonly priority: number;
}

/** All roles of a server. */
export const SERVER_ROLES = ['upload', 'download-approved'] as const;

/** What a client says of a server; what is absent stays, or is as usual. */
export interface ServerDetails {
  readonly enabled?: boolean | undefined;
  readonly operator?: string | null | undefined;
  readonly roles?: readonly ServerRole[] | undefined;
  readonly priority?: number | undefined;
}

/** What a server is for. */
export function rolesOf({ sends, approved }: Pick<ServerRow, 'sends' | 'approved'>): ServerRole[] {
  return [
    ...(sends === 1 ? (['upload'] as const) : []),
    ...(approved === 1 ? (['download-approved'] as const) : []),
  ];
}

/** An address as text and without its password: what is shown, and what one server is known by. */
export function serverKey({ fingerprint, hosts, port }: ServerAddress): string {
  return formatServerAddress({ fingerprint, hosts, ...(port === undefined ? {} : { port }) });
}

/** The server list, and what was measured about servers. */
export class ServerStore {
  readonly #database: Database;
  readonly #clock: Clock;
  #version = 0;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Another number after each change of the list. */
  get version(): number {
    return this.#version;
  }

  list(): ServerRow[] {
    return this.#database.all<ServerRow>('SELECT * FROM servers ORDER BY id');
  }

  /** @throws XftpError NOT_FOUND */
  row(id: number): ServerRow {
    const row = this.#database.get<ServerRow>('SELECT * FROM servers WHERE id = ?', id);
    if (row === undefined) throw new XftpError('NOT_FOUND', `There is no server ${String(id)}.`);
    return row;
  }

  /** Servers that files are sent through, with their passwords. */
  forUpload(): ServerAddress[] {
    return this.list()
      .filter(({ enabled, sends }) => enabled === 1 && sends === 1)
      .map(addressOf);
  }

  /** Operators of the servers that have one, by address. */
  operators(): ReadonlyMap<string, string> {
    return new Map(
      this.list().flatMap(({ address, operator }) => (operator === null ? [] : [[address, operator]])),
    );
  }

  /** Addresses of text. Throws XftpError INVALID_ADDRESS. */
  parseList(texts: readonly string[]): ServerAddress[] {
    return texts.map((text) => parseServerAddress(text));
  }

  /** Whether files may be downloaded from a server without asking. */
  approves(server: ServerAddress): boolean {
    return this.#find(serverKey(server))?.approved === 1;
  }

  /** How early a server is chosen; 0 for one that is not in the list. */
  priorityOf(server: ServerAddress): number {
    return this.#find(serverKey(server))?.priority ?? 0;
  }

  /** Adds a server, or changes the one with this address. */
  put(server: ServerAddress, { enabled = true, ...details }: ServerDetails): ServerRow {
    return this.update(this.ensure(server).id, { enabled, ...details });
  }

  /** Adds a server that is not in the list; one that is there stays as it is, but for a password that comes with it. */
  ensure(server: ServerAddress): ServerRow {
    const address = serverKey(server);
    this.#version += 1;
    this.#database.run(
      `INSERT INTO servers (address, password, created_at) VALUES (?, ?, ?)
       ON CONFLICT (address) DO UPDATE SET password = COALESCE(excluded.password, password)`,
      address,
      server.password ?? null,
      this.#clock.now(),
    );
    const row = this.#find(address);
    if (row === undefined) throw new XftpError('NOT_FOUND', 'The server was not stored.');
    return row;
  }

  /** @throws XftpError NOT_FOUND; INVALID_ADDRESS for a password that no address can have */
  update(id: number, change: ServerDetails & { readonly password?: string | null }): ServerRow {
    const row = this.row(id);
    const { enabled, operator, password, priority, roles = rolesOf(row) } = change;
    if (typeof password === 'string') requireServerPassword(password);
    this.#version += 1;
    this.#database.run(
      `UPDATE servers SET enabled = ?, operator = ?, password = ?, sends = ?, approved = ?, priority = ? WHERE id = ?`,
      enabled === undefined ? row.enabled : Number(enabled),
      operator === undefined ? row.operator : operator,
      password === undefined ? row.password : password,
      Number(roles.includes('upload')),
      Number(roles.includes('download-approved')),
      priority ?? row.priority,
      id,
    );
    return this.row(id);
  }

  remove(id: number): void {
    this.row(id);
    this.#version += 1;
    this.#database.run('DELETE FROM servers WHERE id = ?', id);
  }

  /** The address with the password that the list has for it, if any. */
  withPassword(server: ServerAddress): ServerAddress {
    if (server.password !== undefined) return server;
    const row = this.#find(serverKey(server));
    return row === undefined ? server : addressOf(row);
  }

  #find(address: string): ServerRow | undefined {
    return this.#database.get<ServerRow>('SELECT * FROM servers WHERE address = ?', address);
  }

  /** Counts a request that worked. */
  recordSuccess(address: string, action: ServerAction, { bytes, ms }: { bytes: number; ms: number }): void {
    this.#database.transaction(
      () =>
        this.#database.run(
          `INSERT INTO server_stats (address, action, attempts, successes, bytes, round_trip_ms)
           VALUES (?, ?, 1, 1, ?, ?)
           ON CONFLICT (address, action) DO UPDATE SET attempts = attempts + 1, successes = successes + 1,
             bytes = bytes + excluded.bytes, round_trip_ms = round_trip_ms + excluded.round_trip_ms`,
          address,
          action,
          bytes,
          Math.round(ms),
        ),
      NOT_FLUSHED,
    );
  }

  /** Counts a request that failed. */
  recordFailure(address: string, action: ServerAction, kind: FailureKind): void {
    this.#database.transaction(() => {
      this.#database.run(
        `INSERT INTO server_stats (address, action, attempts) VALUES (?, ?, 1)
         ON CONFLICT (address, action) DO UPDATE SET attempts = attempts + 1`,
        address,
        action,
      );
      this.#database.run(
        `INSERT INTO server_failures (address, kind, count, last_at) VALUES (?, ?, 1, ?)
         ON CONFLICT (address, kind) DO UPDATE SET count = count + 1, last_at = excluded.last_at`,
        address,
        kind,
        this.#clock.now(),
      );
    }, NOT_FLUSHED);
  }

  stats(): ServerStats[] {
    const byAddress = new Map<
      string,
      { actions: ServerStats['actions'][number][]; failures: ServerStats['failures'][number][] }
    >();
    const of = (
      address: string,
    ): { actions: ServerStats['actions'][number][]; failures: ServerStats['failures'][number][] } => {
      const found = byAddress.get(address) ?? { actions: [], failures: [] };
      byAddress.set(address, found);
      return found;
    };
    for (const row of this.#database.all<StatsRow>('SELECT * FROM server_stats ORDER BY address, action')) {
      const { address, action, attempts, successes, bytes, round_trip_ms: ms } = row;
      of(address).actions.push({
        action,
        attempts,
        successes,
        bytes,
        meanMs: successes === 0 ? 0 : ms / successes,
      });
    }
    for (const row of this.#database.all<FailureRow>('SELECT * FROM server_failures ORDER BY address, kind'))
      of(row.address).failures.push({ kind: row.kind, count: row.count, lastAt: row.last_at });
    return [...byAddress].map(([address, { actions, failures }]) => ({ address, actions, failures }));
  }
}

interface StatsRow {
  readonly address: string;
  readonly action: ServerAction;
  readonly attempts: number;
  readonly successes: number;
  readonly bytes: number;
  readonly round_trip_ms: number;
}

interface FailureRow {
  readonly address: string;
  readonly kind: FailureKind;
  readonly count: number;
  readonly last_at: number;
}

function addressOf({ address, password }: ServerRow): ServerAddress {
  const server = parseServerAddress(address);
  return password === null ? server : { ...server, password };
}
