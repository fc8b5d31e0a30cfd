// `npm run bench -- --relay`: what a relay costs for each byte and each connection, and how soon it answers many clients.
import { measureRelayPrimitives } from './primitives.js';
import { measureIdleConnections, measureManyClients } from './relay-load.js';
import { measureThroughput } from './relay-throughput.js';
import { startRelayProcess } from './transfers.js';

const KIB = 1024;
const IDLE_CONNECTIONS = 2000;
const CLIENTS = 200;
/** Of load, before anything counts, and then. */
const SECONDS = 60;

/** Measures a relay of its own in `folder`, prints tables, and returns the figures. */
export async function reportRelay(folder, { quick }) {
  const relay = await startRelayProcess(folder);
  try {
    const idle = await measureIdleConnections(relay, IDLE_CONNECTIONS);
    printIdle(idle);
    const primitives = measureRelayPrimitives(folder);
    const throughput = await measureThroughput(relay);
    printThroughput(throughput, primitives);
    const seconds = quick ? SECONDS / 6 : SECONDS;
    const load = await measureManyClients(relay, { clients: CLIENTS, warmUp: seconds, seconds });
    printLoad(load);
    return { idle, primitives, throughput, load };
  } finally {
    await relay.stop();
  }
}

function printIdle({ connections, bytesEach }) {
  console.log(`${connections} idle connections: ${round(bytesEach / KIB)} KiB of memory each.`);
}

function printThroughput({ bare, relay, ratio }, { sha256, xsalsa20, poly1305, fileWrite, fileRead }) {
  console.log('Chunks of 4 MiB, against a bare HTTP/2 server in Node:');
  const row = (direction, server, figures, share) => ({
    direction,
    server,
    'MB/s': round(figures.megabytesPerSecond),
    'CPU s/GB': round(figures.cpuSecondsPerGb),
    'MB per CPU s': round(figures.megabytesPerCpuSecond),
    ratio: share === undefined ? '' : round(share),
  });
  console.table([
    row('upload', 'bare', bare.upload),
    row('upload', 'relay', relay.upload, ratio.upload),
    row('download', 'bare', bare.download),
    row('download', 'relay', relay.download, ratio.download),
  ]);
  console.log('What a relay must do beyond that, each on its own in one thread, CPU seconds per GB:');
  console.table([
    { direction: 'upload', 'SHA-256': round(sha256), 'disk (flushed)': round(fileWrite) },
    { direction: 'download', XSalsa20: round(xsalsa20), Poly1305: round(poly1305), disk: round(fileRead) },
  ]);
  const explained = {
    upload: bare.upload.cpuSecondsPerGb + sha256 + fileWrite,
    download: bare.download.cpuSecondsPerGb + xsalsa20 + poly1305 + fileRead,
  };
  for (const [direction, least] of Object.entries(explained))
    console.log(
      `${direction}: ${round(least)} s/GB for the bare server and these, ` +
        `${round(relay[direction].cpuSecondsPerGb)} s/GB for the relay.`,
    );
}

function printLoad({ clients, warmUp, seconds, rounds, errors, memory, openFiles, coresUsed, ...load }) {
  const mib = memory.map((bytes) => Math.round(bytes / KIB ** 2));
  console.log(
    `${clients} clients for ${seconds} s after ${warmUp} s, chunks of 64 KiB: ${rounds} chunks, ` +
      `errors ${JSON.stringify(errors)}, open files ${openFiles} more.\n` +
      `${round(coresUsed)} cores used, ${Math.round(load.callsPerCpuSecond)} calls per second and core.\n` +
      `Memory in MiB, from the first to the last: ${mib.join(', ')}.`,
  );
  console.table(
    Object.entries(load.calls).map(([call, { count, p50, p99, max }]) => ({
      call,
      calls: count,
      'p50 ms': round(p50),
      'p99 ms': round(p99),
      'max ms': round(max),
    })),
  );
}

function round(value) {
  return Math.round(value * 100) / 100;
}
