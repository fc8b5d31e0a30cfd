import { readFile } from 'node:fs/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { parseDescription, parseServerList } from '#src/protocol/index.js';
import { receiveFile, sendFile } from '#src/transfer/index.js';
import { DEFAULT_DEADLINES } from '#src/transport/index.js';
import { DEFAULT_LIMITS } from '#src/relay/index.js';

import { emulatedLink, type EmulatedLink } from '../support/emulated-link.js';
import { startSocksServer } from '../support/socks-server.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectReceived, makeFile, sendSample, transferContext } from '../support/transfers.js';
import { countedRelay, type CountedRelay } from '../agent/relay-samples.js';
import { throughPort } from './agent-fault-samples.js';

/** So much faster than a link of 20 KB/s is this one; all times are as much shorter. */
const SCALE = 30;
/** Three chunks of 1 MiB, which are on the way at once. */
const THREE_CHUNKS = 2_900_000;

const deadlines = { stallMs: DEFAULT_DEADLINES.stallMs / SCALE };
const limits = {
  uploadStallMs: DEFAULT_LIMITS.uploadStallMs / SCALE,
  uploadSignMs: DEFAULT_LIMITS.uploadSignMs / SCALE,
};

/** A relay behind a link of 20 KB/s each way, scaled. */
async function slowRelay(): Promise<{
  readonly relay: CountedRelay;
  readonly link: EmulatedLink;
  readonly address: string;
}> {
  const relay = await countedRelay({ limits });
  const link = await emulatedLink(relay.port, {
    bytesPerSecond: 20_000 * SCALE,
    roundTripMs: 600 / SCALE,
  });
  return { relay, link, address: throughPort(relay.address, link.port) };
}

describe('A link that is slow and holds', () => {
  it('carries a file up through a SOCKS proxy while another one comes down, each chunk at the first try', async () => {
    const { relay, link, address } = await slowRelay();
    const before = await sendSample(relay.address, { size: THREE_CHUNKS });
    const socks = await startSocksServer({ target: ({ port }) => port });
    onTestFinished(() => socks.stop());
    const source = await makeFile(await temporaryFolder(), THREE_CHUNKS);
    const text = await readFile(before.recipients[0], 'utf8');
    const description = parseDescription(text.replaceAll(relay.address, address));
    const servers = parseServerList(address);
    await Promise.all([
      // A proxy takes bytes long before the relay does.
      sendFile(
        { source, name: 'x', servers, recipients: 1, maxSize: THREE_CHUNKS },
        transferContext({ deadlines, socksPort: socks.port }),
      ),
      receiveFile({ description, destination: { folder: before.into } }, transferContext({ deadlines })),
    ]);
    await expectReceived(before);
    expect((await relay.counts()).FPUT).toBe(2 * description.chunks.length);
    expect(link.cuts()).toBe(0);
    expect(socks.requests.length).toBeGreaterThan(0);
  });
});
