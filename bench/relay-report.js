// `npm run bench -- --relay`: what a relay costs for each connection, and how soon it answers many clients at once.
import { measureIdleConnections, measureManyClients } from './relay-load.js';
import { startRelayProcess } from './transfers.js';

const KIB = 1024;
const IDLE_CONNECTIONS = 2000;
const CLIENTS = 200;
const SECONDS = 20;

/** Measures a relay of its own in `folder`, prints tables, and returns the figures. */
export async function reportRelay(folder) {
  const relay = await startRelayProcess(folder);
  try {
    const idle = await measureIdleConnections(relay, IDLE_CONNECTIONS);
    console.log(`${idle.connections} idle connections: ${round(idle.bytesEach / KIB)} KiB of memory each.`);
    const load = await measureManyClients(relay, { clients: CLIENTS, seconds: SECONDS });
    console.log(
      `${load.clients} clients for ${load.seconds} s, chunks of 64 KiB: ${load.rounds} chunks, ` +
        `errors ${JSON.stringify(load.errors)}, memory ${round(load.memoryBytes / KIB ** 2)} MiB more, ` +
        `open files ${load.openFiles} more.`,
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
    return { idle, load };
  } finally {
    await relay.stop();
  }
}

function round(value) {
  return Math.round(value * 100) / 100;
}
