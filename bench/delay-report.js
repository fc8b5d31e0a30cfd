// `npm run bench -- --delay`: how much of a long link the programs use, beside a bare TLS connection on the same link.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { randomBytes } from '../dist/crypto/index.js';
import { withAgent } from './agent-transfers.js';
import { medianOf } from './median.js';
import { TLS_CIPHER } from './primitives.js';
import { measureTransfer, startRelayProcess } from './transfers.js';

const MIB = 1024 ** 2;
const ROUND_TRIP_MS = 100;
const SIZE = 64 * MIB;
/** What takes the same time whatever the size: start of the program, handshakes, one chunk of 64 KiB. */
const SMALL = 1024;
/** Bytes per second; 0 for as fast as the machine can. */
const LINKS = { '20 MB/s': 20e6, 'no limit': 0 };
const ROUNDS = 3;
/** How much a bare TLS connection is handed at once. */
const TLS_PIECE = 64 * 1024;
const DIRECTIONS = ['send', 'receive'];

const script = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Measures in `folder`, prints tables, and returns the figures. */
export async function reportDelay(folder) {
  const relay = await startRelayProcess(folder);
  const links = {};
  try {
    for (const [name, bytesPerSecond] of Object.entries(LINKS)) {
      links[name] = await measureLink(relay, bytesPerSecond, folder);
      printLink(name, links[name]);
    }
  } finally {
    await relay.stop();
  }
  return { roundTripMs: ROUND_TRIP_MS, size: SIZE, links };
}

/** Seconds of everything, in turn, so that what else the machine does disturbs all of it alike. */
async function measureLink(relay, bytesPerSecond, folder) {
  const line = await startLine(portOf(relay.address), bytesPerSecond);
  const through = { ...relay, address: relay.address.replace(/:\d+$/, `:${line.port}`) };
  try {
    return await withAgent(through, folder, async (agent) => {
      const rounds = [];
      for (let round = 1; round <= ROUNDS; round += 1) {
        const tls = {
          small: await bareTls(SMALL, bytesPerSecond),
          large: await bareTls(SIZE, bytesPerSecond),
        };
        const xftp = {
          small: await oneShot(through, SMALL, folder),
          large: await oneShot(through, SIZE, folder),
        };
        const throughAgent = { small: await agent.transfer(SMALL), large: await agent.transfer(SIZE) };
        rounds.push({ tls, xftp, agent: throughAgent });
      }
      return medianOf(rounds);
    });
  } finally {
    await line.stop();
  }
}

async function oneShot(relay, size, folder) {
  const { send, receive } = await measureTransfer(relay, size, folder);
  return {
    send: send.seconds,
    receive: receive.seconds,
    peakMemoryBytes: Math.max(send.peakMemoryBytes, receive.peakMemoryBytes),
  };
}

/** Seconds that so many bytes take each way over one bare TLS connection, from its first packet on. */
async function bareTls(size, bytesPerSecond) {
  const seconds = {};
  for (const direction of DIRECTIONS) {
    const peer = await startNode([
      script('tls-peer.js'),
      direction === 'send' ? 'sink' : 'source',
      String(size),
    ]);
    const line = await startLine(peer.port, bytesPerSecond);
    const start = performance.now();
    const socket = connect({
      host: '127.0.0.1',
      port: line.port,
      servername: '',
      rejectUnauthorized: false,
      ciphers: TLS_CIPHER,
    });
    await once(socket, 'secureConnect');
    const ended = once(socket.resume(), 'end');
    if (direction === 'send') await sendAll(socket, size);
    await ended;
    seconds[direction] = (performance.now() - start) / 1000;
    socket.destroy();
    await line.stop();
    await peer.stop();
  }
  return seconds;
}

async function sendAll(socket, size) {
  const piece = randomBytes(TLS_PIECE);
  for (let sent = 0; sent < size; sent += TLS_PIECE) if (!socket.write(piece)) await once(socket, 'drain');
  socket.end();
}

function startLine(targetPort, bytesPerSecond) {
  return startNode([
    script('delay-line.js'),
    String(targetPort),
    String(ROUND_TRIP_MS),
    String(bytesPerSecond),
  ]);
}

/** Starts a script that prints its port first. */
async function startNode(parameters) {
  const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  const [port] = await once(child.stdout, 'data');
  return { port: Number(port), stop: () => (child.kill(), once(child, 'exit')) };
}

function portOf(address) {
  return /:(\d+)$/.exec(address)[1];
}

function printLink(name, { tls, xftp, agent }) {
  console.log(`${SIZE / MIB} MiB at ${ROUND_TRIP_MS} ms round trip, ${name}:`);
  console.table(
    DIRECTIONS.flatMap((direction) =>
      Object.entries({ 'bare TLS': tls, xftp, agent }).map(([program, { small, large }]) => ({
        direction,
        program,
        seconds: round(large[direction]),
        'of TLS': round(tls.large[direction] / large[direction]),
        'fixed s': round(small[direction]),
        'MB/s behind that': round(SIZE / 1e6 / (large[direction] - small[direction])),
        'of TLS, behind that': round(
          (tls.large[direction] - tls.small[direction]) / (large[direction] - small[direction]),
        ),
      })),
    ),
  );
}

function round(value) {
  return Math.round(value * 100) / 100;
}
