// What uploads and downloads cost a relay, against a bare HTTP/2 server in Node that does nothing with them.
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { generateKeyPair, sha256 } from '../dist/crypto/index.js';
import { RelayClient } from '../dist/client/index.js';
import { BLOCK_SIZE, parseServerAddress } from '../dist/protocol/index.js';
import { DEFAULT_DEADLINES, DEFAULT_IDLE_MS, openSession, SessionPool } from '../dist/transport/index.js';
import { medianOf } from './median.js';
import { cpuSecondsOf } from './process-usage.js';

const MIB = 1024 ** 2;
const GB = 1e9;
const CHUNK = 4 * MIB;
/** Download tag behind a chunk, in bytes. */
const TAG = 16;
/** Chunks in one direction in one round: enough for a steady figure. */
const CHUNKS = 64;
/** Connections, each with one chunk on the way: as clients do. */
const CONNECTIONS = 4;
/** The two servers take turns, since a machine is not equally fast all the time. */
const ROUNDS = 7;
/** Before anything counts: a relay runs for months, and each of its processes has to compile its code. */
const WARM_UP_ROUNDS = 8;

/** CPU seconds of the bare server and of the relay for each GB, in both directions, and their ratios. */
export async function measureThroughput(relay) {
  const bare = await startBareServer();
  const peers = { bare: await bareTransfers(bare), relay: relayTransfers(relay) };
  try {
    const rounds = [];
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
      const figures = {};
      for (const [name, peer] of Object.entries(peers)) figures[name] = await measureRound(peer);
      if (round >= WARM_UP_ROUNDS) rounds.push(withRatios(figures));
    }
    return medianOf(rounds);
  } finally {
    for (const peer of Object.values(peers)) peer.close();
    await bare.stop();
  }
}

async function measureRound(peer) {
  await peer.prepare();
  const upload = await measure(peer.pid, peer.upload);
  const download = await measure(peer.pid, peer.download);
  await peer.forget();
  return { upload, download };
}

async function measure(pid, transfer) {
  const [before, start] = [cpuSecondsOf(pid), performance.now()];
  await eachChunk(transfer);
  const cpuSeconds = cpuSecondsOf(pid) - before;
  const bytes = CHUNKS * CHUNK;
  return {
    megabytesPerSecond: bytes / 1e3 / (performance.now() - start),
    cpuSecondsPerGb: cpuSeconds * (GB / bytes),
    megabytesPerCpuSecond: bytes / 1e6 / cpuSeconds,
  };
}

function withRatios({ bare, relay }) {
  const ratio = (direction) => bare[direction].cpuSecondsPerGb / relay[direction].cpuSecondsPerGb;
  return { bare, relay, ratio: { upload: ratio('upload'), download: ratio('download') } };
}

/** Work for each chunk, on all connections side by side, and one after the other on each. */
async function eachChunk(work) {
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      for (let chunk = connection; chunk < CHUNKS; chunk += CONNECTIONS) await work(chunk, connection);
    }),
  );
}

function buffersFor(length) {
  return Array.from({ length: CONNECTIONS }, () => randomFillSync(Buffer.alloc(length)));
}

function relayTransfers({ pid, address }) {
  const server = parseServerAddress(address);
  const open = (host, signal) => openSession(host, { deadlines: DEFAULT_DEADLINES, signal });
  const pools = Array.from(
    { length: CONNECTIONS },
    () => new SessionPool({ open, sessionsPerServer: 1, idleMs: DEFAULT_IDLE_MS }),
  );
  const clients = pools.map((pool) => new RelayClient(pool));
  const sources = buffersFor(CHUNK);
  const digests = sources.map(sha256);
  const into = buffersFor(CHUNK + TAG);
  const replicas = [];
  return {
    pid,
    prepare: () =>
      eachChunk(async (chunk, connection) => {
        const [senderKey, recipientKey] = [generateKeyPair('ed25519'), generateKeyPair('ed25519')];
        const { senderId, recipientIds } = await clients[connection].createChunk(server, {
          senderKey,
          size: CHUNK,
          digest: digests[connection],
          recipientKeys: [recipientKey.publicKey],
        });
        replicas[chunk] = {
          sender: { id: senderId, privateKey: senderKey.privateKey },
          recipient: { id: recipientIds[0], privateKey: recipientKey.privateKey },
        };
      }),
    upload: (chunk, connection) =>
      clients[connection].uploadChunk(server, replicas[chunk].sender, {
        bytes: sources[connection],
        onBodyReleased: () => undefined,
      }),
    download: (chunk, connection) =>
      clients[connection].downloadChunk(server, replicas[chunk].recipient, into[connection]),
    forget: () =>
      eachChunk((chunk, connection) => clients[connection].deleteChunk(server, replicas[chunk].sender)),
    close: () => pools.forEach((pool) => pool.close()),
  };
}

async function bareTransfers({ pid, address }) {
  const server = parseServerAddress(address);
  const sessions = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => openSession(server, { deadlines: DEFAULT_DEADLINES })),
  );
  const sources = buffersFor(CHUNK);
  const into = buffersFor(CHUNK + TAG);
  const blockFor = (wanted) => {
    const block = Buffer.alloc(BLOCK_SIZE);
    block.writeUInt32BE(wanted);
    return block;
  };
  const [dropAll, sendChunk] = [blockFor(0), blockFor(CHUNK + TAG)];
  const nothing = () => Promise.resolve();
  return {
    pid,
    prepare: nothing,
    upload: (_, connection) => sessions[connection].exchange({ block: dropAll, body: sources[connection] }),
    download: (_, connection) => sessions[connection].exchange({ block: sendChunk, into: into[connection] }),
    forget: nothing,
    close: () => sessions.forEach((session) => session.close()),
  };
}

async function startBareServer() {
  const path = fileURLToPath(new URL('bare-server.js', import.meta.url));
  const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  const [address] = await once(child.stdout, 'data');
  return { pid: child.pid, address: address.trim(), stop: () => (child.kill(), once(child, 'exit')) };
}
