import fc from 'fast-check';
import { expect, it } from 'vitest';

import { isXftpError } from '#src/protocol/index.js';
import { SERVER, stubOf, stubPool } from './session-stubs.js';

/** One caller of the pool; times are in turns of the queue of promises. */
interface Plan {
  readonly use: 'upload' | 'shared';
  readonly start: number;
  readonly lasts: number;
  readonly fails: boolean;
  readonly abortsAt: number | undefined;
}

const turns = fc.nat(40);
const plan: fc.Arbitrary<Plan> = fc.record({
  use: fc.constantFrom('upload', 'shared'),
  start: turns,
  lasts: turns,
  fails: fc.boolean(),
  abortsAt: fc.option(fc.nat(80), { nil: undefined }),
});

async function pass(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

it('whatever callers do, each gets an outcome, and no limit is exceeded', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 1, maxLength: 25 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ lasts: turns, fails: fc.boolean() }), { minLength: 1, maxLength: 8 }),
      async (plans, sessionsPerServer, dials) => {
        const dialling = new Set<AbortSignal>();
        const most = { sessions: 0, uploads: 0 };
        const stubs = stubPool({ sessionsPerServer, idleMs: 10_000 }, async (signal, number) => {
          const { lasts, fails } = dials[number % dials.length] ?? { lasts: 0, fails: false };
          dialling.add(signal);
          // A dial that was stopped is as good as ended: nothing goes over it any more.
          const live = [...dialling].filter(({ aborted }) => !aborted).length;
          most.sessions = Math.max(most.sessions, stubs.open().length + live);
          await pass(lasts);
          dialling.delete(signal);
          if (fails || signal.aborted) throw new Error('refused');
        });
        const outcomes = plans.map(async ({ use, start, lasts, fails, abortsAt }) => {
          await pass(start);
          const abort = new AbortController();
          if (abortsAt !== undefined)
            void pass(abortsAt).then(() => {
              abort.abort();
            });
          const work = async (): Promise<string> => {
            await pass(lasts);
            if (fails) throw new Error('failed');
            return 'done';
          };
          return stubs.pool
            .use(
              SERVER,
              use,
              (session) =>
                stubOf(session).request(use, () => {
                  most.uploads = Math.max(most.uploads, stubOf(session).uploads);
                  return work();
                }),
              { signal: abort.signal },
            )
            .catch((error: unknown) => {
              if (isXftpError(error, 'CANCELLED') && !abort.signal.aborted)
                return 'cancelled without being aborted';
              return error instanceof Error ? error.message : 'no error';
            });
        });
        const settled = await Promise.all(outcomes);
        expect(settled).not.toContain('cancelled without being aborted');
        expect(most.uploads).toBeLessThanOrEqual(1);
        expect(most.sessions).toBeLessThanOrEqual(sessionsPerServer);
        stubs.pool.close();
        await pass(100);
        expect(stubs.open()).toHaveLength(0);
      },
    ),
    { numRuns: 300, interruptAfterTimeLimit: 5000 },
  );
});
