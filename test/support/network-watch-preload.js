/**
 * Loaded into a program before anything of its own, and into each of its threads: writes a line for everything that
 * asks the system for a connection, a datagram socket or a name. It listens to the handles that Node itself makes for
 * these, so it does not matter which module asks, or how.
 */
import { createHook } from 'node:async_hooks';
import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

/** What Node calls these handles, and what they tell of. */
const ASKED_FOR = {
  TCPCONNECTWRAP: ({ address, port }) => ({ kind: 'tcp', address, port }),
  PIPECONNECTWRAP: ({ address }) => ({ kind: 'pipe', address }),
  GETADDRINFOREQWRAP: ({ hostname }) => ({ kind: 'lookup', address: hostname }),
  GETNAMEINFOREQWRAP: ({ host }) => ({ kind: 'lookup', address: host }),
  QUERYWRAP: ({ hostname }) => ({ kind: 'lookup', address: hostname }),
  UDPWRAP: () => ({ kind: 'udp' }),
};

const path = process.env.XFTP_TEST_NETWORK_WATCH;
const write = (line) => {
  appendFileSync(path, `${JSON.stringify(line)}\n`);
};

createHook({
  init(_id, type, _trigger, resource) {
    const describe = ASKED_FOR[type];
    // What it is for is set on it only after it was made.
    if (describe !== undefined)
      process.nextTick(() => {
        write(describe(resource));
      });
  },
}).enable();
write({ kind: 'watched', thread: threadId });
