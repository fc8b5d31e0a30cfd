import type { Clock } from './clock.js';

/** So much the newest measurement counts; the rest is what was measured before. */
const NEWEST = 0.3;
/** After so long a failure counts half, in ms. */
const HALF_LIFE_MS = 60_000;

interface Health {
  /** Downloads under way. */
  load: number;
  /** Smoothed, in bytes per ms; undefined until it was measured. */
  speed: number | undefined;
  failures: number;
  failedAt: number;
}

/** A download that has begun. Exactly one of its outcomes is told; later ones do not count. */
export interface Visit {
  readonly succeeded: (bytes: number) => void;
  /** It failed, or stands still. */
  readonly failed: () => void;
  /** It was stopped. */
  readonly left: () => void;
}

/** How well servers hand out chunks: what was measured since the agent started. */
export class ServerHealth {
  readonly #clock: Clock;
  readonly #servers = new Map<string, Health>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A download from this server begins. */
  begin(server: string): Visit {
    const health = this.#of(server);
    const start = this.#clock.monotonic();
    health.load += 1;
    let over = false;
    const end = (outcome: () => void): void => {
      if (over) return;
      over = true;
      health.load -= 1;
      outcome();
    };
    return {
      succeeded: (bytes) => {
        end(() => {
          const speed = bytes / Math.max(1, this.#clock.monotonic() - start);
          health.speed = health.speed === undefined ? speed : NEWEST * speed + (1 - NEWEST) * health.speed;
        });
      },
      failed: () => {
        end(() => {
          health.failures = this.#recentFailures(health) + 1;
          health.failedAt = this.#clock.monotonic();
        });
      },
      left: () => {
        end(() => undefined);
      },
    };
  }

  /** How dear the next download from this server is; only good for comparing servers. */
  cost(server: string): number {
    const health = this.#servers.get(server);
    const { load, speed } = health ?? { load: 0, speed: undefined };
    const failures = health === undefined ? 0 : this.#recentFailures(health);
    return ((load + 1) * (failures + 1)) / (speed ?? this.#usualSpeed());
  }

  /** Mean of those that were measured: a server that was not is tried like them. */
  #usualSpeed(): number {
    const speeds = [...this.#servers.values()].flatMap(({ speed }) => speed ?? []);
    return speeds.length === 0 ? 1 : speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length;
  }

  #recentFailures({ failures, failedAt }: Health): number {
    return failures * 0.5 ** ((this.#clock.monotonic() - failedAt) / HALF_LIFE_MS);
  }

  #of(server: string): Health {
    let health = this.#servers.get(server);
    if (health === undefined) {
      health = { load: 0, speed: undefined, failures: 0, failedAt: 0 };
      this.#servers.set(server, health);
    }
    return health;
  }
}
