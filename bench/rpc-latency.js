// How soon the agent answers its clients while it sends a large file through a relay in another process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { connectAgent } from '../dist/sdk/index.js';
import { makeRandomFile } from './transfers.js';

const AGENT = fileURLToPath(new URL('../dist/bin/xftp-agent.js', import.meta.url));
/** The calls that front ends make most. */
const CALLS = {
  'agent.info': (client) => client.agent.info(),
  'transfers.list': (client) => client.transfers.list({ limit: 100 }),
};

/** Calls the agent without a pause, one call after the other, until a send of `size` bytes is completed. */
export async function measureRpcLatency(relay, size, folder) {
  const home = join(folder, 'agent');
  mkdirSync(home);
  const source = join(home, 'source.bin');
  makeRandomFile(source, size);
  const dataDir = join(home, 'data');
  const agent = spawn(
    process.execPath,
    [
      AGENT,
      'start',
      '--data-dir',
      dataDir,
      '--downloads',
      home,
      '--listen',
      '127.0.0.1:0',
      '--server',
      relay.address,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  try {
    await printed(agent, /Listening on/);
    const client = await connectAgent({ dataDir });
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
    await client.close();
    return {
      size,
      megabytesPerSecond: size / 1e6 / seconds,
      calls: Object.fromEntries(Object.entries(times).map(([name, all]) => [name, figuresOf(all)])),
    };
  } finally {
    if (agent.exitCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    }
    rmSync(home, { recursive: true });
  }
}

function figuresOf(times) {
  const sorted = times.sort((a, b) => a - b);
  const quantile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { count: sorted.length, p50: quantile(0.5), p99: quantile(0.99), max: sorted.at(-1) };
}

async function printed(child, pattern) {
  let text = '';
  child.stderr.setEncoding('utf8');
  await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`The agent did not start: ${text}`)));
    // What comes later is read too, so that the agent never waits for somebody who reads.
    child.stderr.on('data', (data) => {
      text += data;
      if (pattern.test(text)) resolve();
    });
  });
}
