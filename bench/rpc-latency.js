// How soon the agent answers its clients while it sends a large file through a relay in another process.
import { join } from 'node:path';

import { withAgent } from './agent-transfers.js';
import { makeRandomFile } from './transfers.js';

/** The calls that front ends make most. */
const CALLS = {
  'agent.info': (client) => client.agent.info(),
  'transfers.list': (client) => client.transfers.list({ limit: 100 }),
};

/** Calls the agent without a pause, one call after the other, until a send of `size` bytes is completed. */
export function measureRpcLatency(relay, size, folder) {
  return withAgent(relay, folder, async ({ client, home }) => {
    const source = join(home, 'source.bin');
    makeRandomFile(source, size);
    const { id } = await client.transfers.send({ path: source, snapshot: false });
    const times = Object.fromEntries(Object.keys(CALLS).map((name) => [name, []]));
    const start = performance.now();
    for (;;) {
      for (const [name, call] of Object.entries(CALLS)) {
        const before = performance.now();
        await call(client);
        times[name].push(performance.now() - before);
      }
      const { state, failure } = await client.transfers.get({ id });
      if (state === 'completed') break;
      if (state === 'failed') throw new Error(failure.message);
    }
    const seconds = (performance.now() - start) / 1000;
    return {
      size,
      megabytesPerSecond: size / 1e6 / seconds,
      calls: Object.fromEntries(Object.entries(times).map(([name, all]) => [name, figuresOf(all)])),
    };
  });
}

function figuresOf(times) {
  const sorted = times.sort((a, b) => a - b);
  const quantile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { count: sorted.length, p50: quantile(0.5), p99: quantile(0.99), max: sorted.at(-1) };
}
