import type { Database } from './database.js';
import type { Settings } from './model.js';

/** What holds until a client sets something else. */
export const DEFAULT_SETTINGS: Settings = {
  // As many uploads as the pool has sessions for.
  chunksPerServer: 4,
  // Bounds memory: each chunk under way has up to 4 MiB.
  chunksTotal: 16,
  uploadLimit: null,
  downloadLimit: null,
  // What the SimpleX agent library takes.
  maxFileSize: 5 * 1024 ** 3,
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
};

/** The settings in the database. */
export class SettingsStore {
  readonly #database: Database;
  #current: Settings;

  constructor(database: Database) {
    this.#database = database;
    const stored = this.#database
      .all<{ name: string; value: string }>('SELECT name, value FROM settings')
      .filter(({ name }) => name in DEFAULT_SETTINGS)
      .map(({ name, value }) => [name, JSON.parse(value) as unknown]);
    // Only `set` writes them, from values of their types.
    this.#current = { ...DEFAULT_SETTINGS, ...(Object.fromEntries(stored) as Partial<Settings>) };
  }

  get current(): Settings {
    return this.#current;
  }

  set(change: Partial<Settings>): Settings {
    this.#database.transaction(() => {
      for (const [name, value] of Object.entries(change))
        this.#database.run(
          'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
          name,
          JSON.stringify(value),
        );
    });
    this.#current = { ...this.#current, ...change };
    return this.#current;
  }
}
