// `npm run demo`: one file through a relay and back, with the parts that the programs are made of.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import { Command } from 'commander';

import { randomBytes } from '../crypto/index.js';
import { fitFileName, humanSize, parseServerAddress, webLinkOf } from '../protocol/index.js';
import { startRelay } from '../relay/index.js';
import { deleteFile, receiveFile, sendFile } from '../transfer/index.js';
import { HumanOutput } from './output.js';
import { runProgram } from './program.js';
import { withTransferSession } from './transfer-session.js';

/** Size of the file that the demo makes, in bytes: large enough to see it work, small enough not to wait. */
const DEMO_FILE_SIZE = 64 * 1024 * 1024;

const output = new HumanOutput({ verbose: false });

async function runDemo(file: string | undefined): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'xftp-demo-'));
  try {
    say('An embedded relay starts, then a file goes through it and comes back.\n');
    const source = file === undefined ? await makeSource(folder) : resolve(file);
    const before = await digestOf(source);
    say(`1. File      ${basename(source)}, SHA-256 ${before.slice(0, 16)}…`);
    await transfer(source, folder, before);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function transfer(source: string, folder: string, before: string): Promise<void> {
  const chunks = join(folder, 'relay');
  const relay = await startRelay({ filesPath: chunks, host: '127.0.0.1', listenHost: '127.0.0.1' });
  try {
    say(`2. Relay     ${relay.address}`);
    await withTransferSession({ attempts: 3, output }, async ({ context }) => {
      const servers = [parseServerAddress(relay.address)];
      const name = fitFileName(basename(source));
      const send = { source, name, servers, recipients: 1, maxSize: Number.MAX_SAFE_INTEGER };
      const sent = await timed(() => sendFile(send, context('Uploading')));
      const [description] = sent.value.recipients;
      if (description === undefined) throw new Error('A sent file has no description.');
      output.endProgress();
      say(`3. Sent      ${describe(sent.value.sender.size, sent.seconds)}, encrypted, over TLS`);
      say(
        `             the relay stores ${String((await readdir(chunks)).length)} chunks, of nobody knows what`,
      );
      const link = webLinkOf(description);
      say(`             link: ${link.slice(0, 60)}… (${String(link.length)} characters)`);
      const destination = { folder };
      const received = await timed(() => receiveFile({ description, destination }, context('Downloading')));
      output.endProgress();
      say(`4. Received  ${describe(sent.value.sender.size, received.seconds)}, verified and decrypted`);
      if ((await digestOf(received.value.path)) !== before) throw new Error('The received file differs.');
      say('5. Compared  identical, byte for byte');
      await deleteFile(sent.value.sender, context('Deleting'));
      say(`6. Deleted   the relay stores ${String((await readdir(chunks)).length)} chunks`);
    });
  } finally {
    await relay.stop();
  }
  say('\nDone. `node dist/bin/xftp.js --help` and `node dist/bin/xftp-server.js --help` tell more.');
}

async function makeSource(folder: string): Promise<string> {
  const path = join(folder, 'demo.bin');
  await writeFile(path, randomBytes(DEMO_FILE_SIZE));
  return path;
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const start = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - start) / 1000 };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

function describe(bytes: number, seconds: number): string {
  return `${humanSize(bytes)} in ${seconds.toFixed(2)} s (${humanSize(bytes / seconds)}/s)`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const program = new Command('demo')
  .description('Sends a file through an embedded relay and back.')
  .argument('[FILE]', 'a file of yours; a random one if absent')
  .exitOverride()
  .action(runDemo);

await runProgram(program, () => output);
