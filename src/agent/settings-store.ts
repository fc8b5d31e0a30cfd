import type { Database } from './database.js';
import type { Settings } from './model.js';

const HOUR_MS = 3600_000;

/** What holds until a client sets something else. */
export const DEFAULT_SETTINGS: Settings = {
  // As many uploads as the pool has sessions for.
  chunksPerServer: 4,
  // Bounds memory: each chunk under way has up to 4 MiB.
  chunksTotal: 16,
  chunkSizes: 'normal',
  uploadLimit: null,
  downloadLimit: null,
  // What the SimpleX agent library takes.
  maxFileSize: 5 * 1024 ** 3,
  // As official programs do it; each copy costs an upload.
  replicas: 1,
  // The life of chunks on relays.
  deadlineHours: 48,
  eventDays: 7,
  eventCount: 100_000,
  transferDays: null,
  approveRelays: 'ask',
  socksProxy: null,
  socksMode: 'always',
  onionHosts: 'prefer',
  isolation: 'server',
  coverTraffic: false,
};

/** Whether a stored value can be that of a setting: more is checked when a client sets it. */
function mayBe(name: keyof Settings, value: unknown): boolean {
  const usual = DEFAULT_SETTINGS[name];
  if (name === 'socksProxy') return value === null || typeof value === 'string';
  if (usual === null) return value === null || typeof value === 'number';
  return typeof value === typeof usual;
}

/** The settings in the database. */
export class SettingsStore {
  readonly #database: Database;
  #current: Settings;

  /** @param warn told of a setting that cannot be read: its default holds instead */
  constructor(database: Database, warn: (message: string) => void) {
    this.#database = database;
    const stored = this.#database
      .all<{ name: string; value: string }>('SELECT name, value FROM settings')
      .filter((row): row is { name: keyof Settings; value: string } => row.name in DEFAULT_SETTINGS)
      .flatMap(({ name, value }) => {
        const parsed = parseJson(value);
        if (mayBe(name, parsed)) return [[name, parsed] as const];
        warn(
          `The setting ${name} in the database cannot be read; its default holds: ${JSON.stringify(DEFAULT_SETTINGS[name])}.`,
        );
        return [];
      });
    // Only `set` writes them, from values of their types.
    this.#current = { ...DEFAULT_SETTINGS, ...(Object.fromEntries(stored) as Partial<Settings>) };
  }

  get current(): Settings {
    return this.#current;
  }

  /** Writes settings; they hold when that is committed. Gives them all. */
  set(change: Partial<Settings>): Settings {
    const changed = { ...this.#current, ...change };
    this.#database.transaction(() => {
      for (const [name, value] of Object.entries(change))
        this.#database.run(
          'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
          name,
          JSON.stringify(value),
        );
      this.#database.afterCommit(() => {
        this.#current = changed;
      });
    });
    return changed;
  }
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Hours, perhaps with a fraction, in whole milliseconds, as times are stored. */
export function hoursInMs(hours: number): number {
  return Math.round(hours * HOUR_MS);
}
