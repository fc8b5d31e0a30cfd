// An agent of its own, and how long files take through it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { connectAgent } from '../dist/sdk/index.js';
import { makeRandomFile } from './transfers.js';

const AGENT = fileURLToPath(new URL('../dist/bin/xftp-agent.js', import.meta.url));

/** Runs `work` with an agent that uses one relay; ends it and removes what it had. */
export async function withAgent(relay, folder, work) {
  const home = join(folder, 'agent');
  mkdirSync(home);
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
    try {
      return await work({ client, home, transfer: (size) => transfer(client, home, size) });
    } finally {
      await client.close();
    }
  } finally {
    if (agent.exitCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    }
    rmSync(home, { recursive: true });
  }
}

/** Seconds from the call to the end of a send and of the receive of it, with a random file of `size` bytes. */
async function transfer(client, home, size) {
  const source = join(home, 'source.bin');
  makeRandomFile(source, size);
  const send = await timed(client, () => client.transfers.send({ path: source, snapshot: false }));
  const { recipients } = await client.transfers.descriptions({ id: send.id });
  const { description } = recipients[0];
  const received = join(home, 'received');
  mkdirSync(received);
  const receive = await timed(client, () =>
    client.transfers.receive({ description, directory: received, approveRelays: 'all' }),
  );
  rmSync(received, { recursive: true });
  rmSync(source);
  return { send: send.seconds, receive: receive.seconds };
}

async function timed(client, begin) {
  const since = (await client.agent.info()).events.newest;
  const start = performance.now();
  const { id } = await begin();
  for await (const event of client.events({
    since,
    transferId: id,
    types: ['transfer.completed', 'transfer.failed'],
  })) {
    if (event.type === 'transfer.failed') throw new Error(event.data.failure.message);
    break;
  }
  return { id, seconds: (performance.now() - start) / 1000 };
}

/** Resolves when the agent has printed something. */
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
