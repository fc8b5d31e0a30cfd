// Sends and receives a file with the real programs and measures both ends.
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { cpuSecondsOf } from './process-usage.js';

const GIB = 1024 ** 3;

const program = (name) => fileURLToPath(new URL(`../dist/bin/${name}.js`, import.meta.url));
const PROBE = fileURLToPath(new URL('usage-probe.cjs', import.meta.url));

/** Starts a relay of its own in `folder`; resolves when it listens. */
export async function startRelayProcess(folder) {
  const env = {
    ...process.env,
    XFTP_SERVER_CFG_PATH: join(folder, 'etc'),
    XFTP_SERVER_LOG_PATH: join(folder, 'var'),
  };
  await run(
    program('xftp-server'),
    ['init', '-p', join(folder, 'srv'), '-q', '100gb', '--ip', '127.0.0.1'],
    env,
  );
  const ini = join(folder, 'etc', 'file-server.ini');
  const configured = readFileSync(ini, 'utf8').replace(/^port: \d+$/m, `port: ${await freePort()}`);
  writeFileSync(ini, configured);
  const child = spawn(process.execPath, [program('xftp-server'), 'start'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.setEncoding('utf8');
  let text = '';
  for await (const data of child.stdout) {
    text += data;
    if (/Listening on port/.test(text)) break;
  }
  const address = /xftp:\/\/\S+/.exec(text)[0];
  return { pid: child.pid, address, stop: () => (child.kill('SIGTERM'), once(child, 'exit')) };
}

/** Sends and receives one random file of `size` bytes; returns the figures of both. */
export async function measureTransfer(relay, size, folder) {
  const source = join(folder, 'source.bin');
  makeRandomFile(source, size);
  const send = await measure(relay, size, folder, ['send', source, folder, '-s', relay.address]);
  const receive = await measure(relay, size, folder, [
    'recv',
    join(folder, 'source.bin.xftp', 'rcv1.xftp'),
    join(folder, 'received.bin'),
    '-y',
  ]);
  await run(program('xftp'), ['del', join(folder, 'source.bin.xftp', 'snd.xftp.private'), '-y']);
  for (const name of ['source.bin', 'received.bin', 'source.bin.xftp'])
    rmSync(join(folder, name), { recursive: true });
  return { size, send, receive };
}

/** A port that nobody uses: the relay of the machine, if there is one, has the default. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function measure(relay, size, folder, parameters) {
  const usageFile = join(folder, 'usage.json');
  const relayBefore = cpuSecondsOf(relay.pid);
  const start = performance.now();
  await run(program('xftp'), parameters, { ...process.env, BENCH_USAGE_FILE: usageFile }, [
    '--require',
    PROBE,
  ]);
  const seconds = (performance.now() - start) / 1000;
  const usage = JSON.parse(readFileSync(usageFile, 'utf8'));
  return {
    seconds,
    megabytesPerSecond: size / 1e6 / seconds,
    clientCpuPerGib: usage.cpuSeconds * (GIB / size),
    relayCpuPerGib: (cpuSecondsOf(relay.pid) - relayBefore) * (GIB / size),
    peakMemoryBytes: usage.peakMemoryBytes,
    diskBytes: usage.diskBytes,
  };
}

async function run(path, parameters, env = process.env, nodeOptions = []) {
  const child = spawn(process.execPath, [...nodeOptions, path, ...parameters], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${path} ${parameters[0]} ended with exit code ${code}.`);
}

/** Writes a file of so many random bytes. */
export function makeRandomFile(path, size) {
  const piece = Buffer.alloc(Math.min(size, 16 * 1024 * 1024));
  const file = openSync(path, 'w');
  for (let left = size; left > 0; left -= piece.length)
    writeSync(file, randomFillSync(piece), 0, Math.min(left, piece.length));
  closeSync(file);
}
