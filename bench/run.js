// Benchmarks: whole transfers and the bare primitives in one run, as a table and as JSON.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { reportDelay } from './delay-report.js';
import { medianOf } from './median.js';
import { measurePrimitives, unavoidable } from './primitives.js';
import { reportRelay } from './relay-report.js';
import { measureRpcLatency } from './rpc-latency.js';
import { measureTransfer, startRelayProcess } from './transfers.js';

const MIB = 1024 ** 2;
/** What is measured one after another must be measured more than once: a machine is not equally fast all the time. */
const ROUNDS = 3;
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    relay: { type: 'boolean', default: false },
    delay: { type: 'boolean', default: false },
    json: { type: 'string' },
    folder: { type: 'string', default: tmpdir() },
  },
});

const sizes = options.quick ? [MIB, 64 * MIB] : [MIB, 64 * MIB, 1024 * MIB];
const folder = mkdtempSync(join(options.folder, 'xftp-bench-'));
try {
  if (options.relay) await measureRelay();
  else if (options.delay) await measureDelay();
  else await measureTransfers();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measureRelay() {
  write({ node: process.version, processor: cpus()[0]?.model, ...(await reportRelay(folder, options)) });
}

async function measureDelay() {
  write({ node: process.version, processor: cpus()[0]?.model, ...(await reportDelay(folder)) });
}

async function measureTransfers() {
  const relay = await startRelayProcess(folder);
  const rounds = [];
  let rpcLatency;
  try {
    for (let round = 1; round <= (options.quick ? 1 : ROUNDS); round += 1) {
      console.error(`Round ${round} ...`);
      rounds.push(await measureRound(relay));
    }
    rpcLatency = await measureRpcLatency(relay, sizes.at(-1), folder);
  } finally {
    await relay.stop();
  }
  const { primitives, floor, transfers } = medianOf(rounds);
  printPrimitives(primitives, floor);
  printTransfers(transfers);
  printLatency(rpcLatency);
  const processor = cpus()[0]?.model;
  write({ node: process.version, processor, primitives, floor, transfers, rpcLatency });
}

function write(report) {
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  else console.log(`\n${JSON.stringify(report)}`);
}

async function measureRound(relay) {
  const primitives = await measurePrimitives(folder);
  const floor = unavoidable(primitives);
  const transfers = [];
  for (const size of sizes) {
    const { send, receive } = await measureTransfer(relay, size, folder);
    transfers.push({
      size,
      send: withRatios(send, floor.send, floor.sendWithFile),
      receive: withRatios(receive, floor.receive, floor.receiveWithFile),
    });
  }
  return { primitives, floor, transfers };
}

function withRatios(figures, floor, floorWithFile) {
  return {
    ...figures,
    ratio: figures.clientCpuPerGib / floor,
    ratioWithFile: figures.clientCpuPerGib / floorWithFile,
  };
}

function printPrimitives(primitives, floor) {
  console.log('Bare primitives, CPU seconds per GiB:');
  console.table(
    Object.fromEntries(
      Object.entries({
        ...primitives,
        'sum for sending': floor.send,
        'sum for receiving': floor.receive,
      }).map(([name, value]) => [name, { 's/GiB': round(value) }]),
    ),
  );
}

function printTransfers(transfers) {
  console.log('Transfers over loopback:');
  console.table(
    transfers.flatMap(({ size, send, receive }) => [row(size, 'send', send), row(size, 'receive', receive)]),
  );
}

function printLatency({ size, megabytesPerSecond, calls }) {
  console.log(`Calls of the agent while it sends ${size / MIB} MiB (${round(megabytesPerSecond)} MB/s):`);
  console.table(
    Object.entries(calls).map(([method, { count, p50, p99, max }]) => ({
      method,
      calls: count,
      'p50 ms': round(p50),
      'p99 ms': round(p99),
      'max ms': round(max),
    })),
  );
}

function row(size, direction, figures) {
  return {
    size: `${size / MIB} MiB`,
    direction,
    'MB/s': round(figures.megabytesPerSecond),
    'client s/GiB': round(figures.clientCpuPerGib),
    'relay s/GiB': round(figures.relayCpuPerGib),
    ratio: round(figures.ratio),
    'with file': round(figures.ratioWithFile),
    'memory MiB': Math.round(figures.peakMemoryBytes / MIB),
    'written/size': figures.diskBytes === undefined ? 'unknown' : round(figures.diskBytes / size),
  };
}

function round(value) {
  return Math.round(value * 100) / 100;
}
