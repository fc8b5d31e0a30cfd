// `npm run demo`: a file goes through the agent and a relay and comes back, although the agent is killed twice.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Command } from 'commander';

import { randomBytes } from '../crypto/index.js';
import { humanSize } from '../protocol/index.js';
import { type AgentClient, type AgentEvent, connectAgent, type DurableEvent } from '../sdk/index.js';
import { localFailure } from '../transfer/index.js';
import { HumanOutput } from './output.js';
import { runProgram } from './program.js';

/** Size of the file that the demo makes, in bytes: large enough to be killed in the middle, small enough not to wait. */
const DEMO_FILE_SIZE = 48 * 1024 * 1024;
/** Bytes per second, so that there is a middle to be killed in on any machine. */
const DEMO_LIMIT = 40 * 1024 * 1024;
/** The agent is killed when so much of the file has moved. */
const KILL_AT = 0.4;

const AGENT_PROGRAM = fileURLToPath(new URL('./xftp-agent.js', import.meta.url));

async function runDemo(file: string | undefined): Promise<void> {
  if (file !== undefined)
    await stat(file).catch((error: unknown) => {
      throw localFailure(error, file);
    });
  const folder = await mkdtemp(join(tmpdir(), 'xftp-demo-'));
  const agent = new DemoAgent(folder);
  try {
    say(
      'An agent with an embedded relay sends a file and receives it again, and is killed twice meanwhile.\n',
    );
    const source = file === undefined ? await makeSource(folder) : resolve(file);
    const before = await digestOf(source);
    say(`1. File      ${basename(source)}, SHA-256 ${before.slice(0, 16)}…`);
    await transfer(agent, source, before);
  } finally {
    await agent.end();
    await rm(folder, { recursive: true, force: true });
  }
  say('\nDone. `node dist/bin/xftp-agent.js --help` tells more; so do xftp.js and xftp-server.js beside it.');
}

async function transfer(agent: DemoAgent, source: string, before: string): Promise<void> {
  await agent.start();
  const client = await agent.connect();
  try {
    const { version, embeddedRelay } = await client.agent.info();
    say(`2. Agent     xftp-agent ${version}, process ${String(agent.pid)}`);
    say(`             embedded relay ${embeddedRelay ?? ''}`);
    await client.settings.set({ uploadLimit: DEMO_LIMIT, downloadLimit: DEMO_LIMIT });

    const sending = await client.transfers.send({ path: source, clientRef: 'demo-send' });
    await throughAKill(agent, client, sending.id, '3. Sending  ');
    const { recipients } = await client.transfers.descriptions({ id: sending.id });
    const [recipient] = recipients;
    if (recipient === undefined) throw new Error('A completed send has no description.');
    say(`             link: ${recipient.link.slice(0, 56)}… (${String(recipient.link.length)} characters)`);

    const receiving = await client.transfers.receive({ link: recipient.link, clientRef: 'demo-receive' });
    const received = await throughAKill(agent, client, receiving.id, '4. Receiving');
    if ((await digestOf(received)) !== before) throw new Error('The received file differs.');
    say('5. Compared  identical, byte for byte');
    await tellEvents(client);
  } finally {
    await client.close();
  }
}

/** Follows a transfer to its end and kills the agent in the middle. Gives the path of the file. */
async function throughAKill(
  agent: DemoAgent,
  client: AgentClient,
  id: string,
  label: string,
): Promise<string> {
  let killed = false;
  for await (const event of client.events({ transferId: id, since: 0 })) {
    const share = shareOf(event);
    if (share !== undefined && share >= KILL_AT && !killed) {
      killed = true;
      await agent.kill();
      say(`${label} ${String(Math.floor(share * 100))} % done: the agent is killed with SIGKILL`);
      await agent.start();
      say(`             a new agent goes on, process ${String(agent.pid)}`);
    }
    if (event.type === 'transfer.failed') throw new Error(event.data.failure.message);
    if (event.type !== 'transfer.completed') continue;
    const { direction, encryptedSize = 0, fileSize = 0, path = '' } = event.data.transfer;
    say(
      direction === 'send'
        ? `${label} completed: the relay has ${humanSize(encryptedSize)}, encrypted and padded`
        : `${label} completed: ${humanSize(fileSize)}, decrypted, verified and saved`,
    );
    return path;
  }
  throw new Error('The events ended before the transfer.');
}

function shareOf(event: AgentEvent): number | undefined {
  if (event.type !== 'transfer.progress') return undefined;
  const { bytesDone, bytesTotal } = event.data;
  return bytesTotal === 0 ? 0 : bytesDone / bytesTotal;
}

/** All durable events, in order: none is missing and none is there twice. */
async function tellEvents(client: AgentClient): Promise<void> {
  const { events } = await client.call('events.list', { since: 0, limit: 1000 });
  say(`6. Events    ${String(events.length)}, numbered without a gap:`);
  for (const [index, event] of events.entries()) {
    if (event.seq !== index + 1) throw new Error(`Event ${String(index + 1)} is missing.`);
    say(`             ${String(event.seq).padStart(3)}  ${describe(event)}`);
  }
}

function describe(event: DurableEvent): string {
  if (event.type !== 'transfer.state') return event.type;
  return `${event.type}  ${event.data.from} → ${event.data.to}`;
}

/** The agent's program, as a process that can be killed and started again. */
class DemoAgent {
  readonly #dataDir: string;
  readonly #downloads: string;
  #process: ChildProcess | undefined;

  constructor(folder: string) {
    this.#dataDir = join(folder, 'agent');
    this.#downloads = join(folder, 'downloads');
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    await mkdir(this.#downloads, { recursive: true });
    const options = ['--data-dir', this.#dataDir, '--downloads', this.#downloads, '--embedded-relay'];
    const child = spawn(process.execPath, [AGENT_PROGRAM, 'start', ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    let log = '';
    child.stderr.setEncoding('utf8');
    await new Promise<void>((ready, failed) => {
      child.stderr.on('data', (text: string) => {
        log += text;
        if (log.includes('Listening on')) ready();
      });
      child.once('exit', () => {
        failed(new Error(`The agent did not start:\n${log}`));
      });
    });
  }

  connect(): Promise<AgentClient> {
    return connectAgent({ dataDir: this.#dataDir });
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async end(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}

async function makeSource(folder: string): Promise<string> {
  const path = join(folder, 'demo.bin');
  await writeFile(path, randomBytes(DEMO_FILE_SIZE));
  return path;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const program = new Command('demo')
  .description('Sends a file through an agent with an embedded relay and back, and kills the agent twice.')
  .argument('[FILE]', 'a file of yours; a random one if absent')
  .exitOverride()
  .action(runDemo);

await runProgram(program, () => new HumanOutput({ verbose: false }));
