// What a relay costs and how soon it answers: idle connections, and many clients at once.
import { randomFillSync } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';

import { generateKeyPair, sha256 } from '../dist/crypto/index.js';
import { RelayClient } from '../dist/client/index.js';
import { parseServerAddress } from '../dist/protocol/index.js';
import { DEFAULT_DEADLINES, DEFAULT_IDLE_MS, openSession, SessionPool } from '../dist/transport/index.js';
import { cpuSecondsOf, filesOf, memoryOf } from './process-usage.js';

const KIB = 1024;
const CHUNK = 64 * KIB;
/** Download tag behind a chunk, in bytes. */
const TAG = 16;
const OPENED_AT_ONCE = 20;
/** Between two looks at the memory, in ms. */
const SAMPLE_MS = 5000;

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

/**
 * So many clients, each with a connection of its own, upload, download and delete chunks for a while. What happens in
 * the time before it (`warmUp`, in seconds) does not count: tables and pools grow to their size in it.
 */
export async function measureManyClients(relay, { clients, warmUp, seconds }) {
  const server = parseServerAddress(relay.address);
  const times = { create: [], upload: [], download: [], delete: [] };
  const errors = new Map();
  const all = await openClients(server, clients);
  const filesBefore = filesOf(relay.pid);
  let working = true;
  const workers = all.map(async ({ client }) => {
    while (working) {
      try {
        await oneRound(client, server, times);
      } catch (error) {
        const name = error.code ?? error.name;
        errors.set(name, (errors.get(name) ?? 0) + 1);
      }
    }
  });
  await setTimeout(warmUp * 1000);
  for (const list of Object.values(times)) list.length = 0;
  const [cpuBefore, start] = [cpuSecondsOf(relay.pid), performance.now()];
  const memory = [memoryOf(relay.pid)];
  while (performance.now() < start + seconds * 1000) {
    await setTimeout(Math.min(SAMPLE_MS, start + seconds * 1000 - performance.now()));
    memory.push(memoryOf(relay.pid));
  }
  const cpuSeconds = cpuSecondsOf(relay.pid) - cpuBefore;
  const calls = Object.entries(times).map(([name, list]) => [name, quantilesOf(list)]);
  const rounds = times.delete.length;
  working = false;
  await Promise.all(workers);
  const openFiles = filesOf(relay.pid) - filesBefore;
  for (const { pool } of all) pool.close();
  return {
    clients,
    warmUp,
    seconds,
    rounds,
    errors: Object.fromEntries(errors),
    calls: Object.fromEntries(calls),
    coresUsed: cpuSeconds / seconds,
    callsPerCpuSecond: calls.reduce((sum, [, { count }]) => sum + count, 0) / cpuSeconds,
    memory,
    openFiles,
  };
}

async function openClients(server, count) {
  const all = Array.from({ length: count }, () => {
    const open = (address, signal) => openSession(address, { deadlines: DEFAULT_DEADLINES, signal });
    const pool = new SessionPool({ open, sessionsPerServer: 1, idleMs: DEFAULT_IDLE_MS });
    return { pool, client: new RelayClient(pool) };
  });
  for (let first = 0; first < count; first += OPENED_AT_ONCE)
    await Promise.all(all.slice(first, first + OPENED_AT_ONCE).map(({ client }) => client.ping(server)));
  return all;
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
