// What a relay costs and how soon it answers: idle connections, and many clients at once.
import { randomFillSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

import { generateKeyPair, sha256 } from '../dist/crypto/index.js';
import { RelayClient } from '../dist/client/index.js';
import { parseServerAddress } from '../dist/protocol/index.js';
import { DEFAULT_DEADLINES, DEFAULT_IDLE_MS, openSession, SessionPool } from '../dist/transport/index.js';

const KIB = 1024;
const CHUNK = 64 * KIB;
/** Download tag behind a chunk, in bytes. */
const TAG = 16;
const OPENED_AT_ONCE = 20;

/** Memory of a relay for each connection that is held open after its handshake, in bytes. */
export async function measureIdleConnections(relay, count) {
  const server = parseServerAddress(relay.address);
  const sessions = [];
  const open = async (number) => {
    for (let left = number; left > 0; left -= OPENED_AT_ONCE)
      sessions.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(left, OPENED_AT_ONCE) }, () =>
            openSession(server, { deadlines: DEFAULT_DEADLINES }),
          ),
        )),
      );
  };
  // Code, tables and pools that are there only once, whatever the number.
  await open(100);
  const before = memoryOf(relay.pid);
  await open(count);
  const bytesEach = (memoryOf(relay.pid) - before) / count;
  for (const session of sessions) session.close();
  await Promise.all(sessions.map(({ closed }) => closed));
  return { connections: count, bytesEach };
}

/** So many clients, each with a connection of its own, upload, download and delete chunks for a while. */
export async function measureManyClients(relay, { clients, seconds }) {
  const server = parseServerAddress(relay.address);
  const times = { create: [], upload: [], download: [], delete: [] };
  const errors = new Map();
  const all = Array.from({ length: clients }, () => {
    const open = (address, signal) => openSession(address, { deadlines: DEFAULT_DEADLINES, signal });
    const pool = new SessionPool({ open, sessionsPerServer: 1, idleMs: DEFAULT_IDLE_MS });
    return { pool, client: new RelayClient(pool) };
  });
  for (let first = 0; first < clients; first += OPENED_AT_ONCE)
    await Promise.all(all.slice(first, first + OPENED_AT_ONCE).map(({ client }) => client.ping(server)));
  const before = { memory: memoryOf(relay.pid), files: filesOf(relay.pid) };
  const until = performance.now() + seconds * 1000;
  await Promise.all(
    all.map(async ({ client }) => {
      while (performance.now() < until) {
        try {
          await oneRound(client, server, times);
        } catch (error) {
          const name = error.code ?? error.name;
          errors.set(name, (errors.get(name) ?? 0) + 1);
        }
      }
    }),
  );
  const after = { memory: memoryOf(relay.pid), files: filesOf(relay.pid) };
  for (const { pool } of all) pool.close();
  return {
    clients,
    seconds,
    rounds: times.delete.length,
    errors: Object.fromEntries(errors),
    calls: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, quantilesOf(list)])),
    memoryBytes: after.memory - before.memory,
    openFiles: after.files - before.files,
  };
}

async function oneRound(client, server, times) {
  const timed = async (name, work) => {
    const start = performance.now();
    const result = await work();
    times[name].push(performance.now() - start);
    return result;
  };
  const bytes = randomFillSync(Buffer.alloc(CHUNK));
  const [senderKey, recipientKey] = [generateKeyPair('ed25519'), generateKeyPair('ed25519')];
  const ids = await timed('create', () =>
    client.createChunk(server, {
      senderKey,
      size: CHUNK,
      digest: sha256(bytes),
      recipientKeys: [recipientKey.publicKey],
    }),
  );
  const sender = { id: ids.senderId, privateKey: senderKey.privateKey };
  const recipient = { id: ids.recipientIds[0], privateKey: recipientKey.privateKey };
  await timed('upload', () => client.uploadChunk(server, sender, { bytes, onBodyReleased: () => undefined }));
  await timed('download', () => client.downloadChunk(server, recipient, Buffer.alloc(CHUNK + TAG)));
  await timed('delete', () => client.deleteChunk(server, sender));
}

function quantilesOf(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? NaN };
}

/** Resident memory of a process, in bytes. */
function memoryOf(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * KIB;
}

/** Open file descriptors of a process. */
function filesOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}
