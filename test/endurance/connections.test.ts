import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { parseDescription, parseServerAddress } from '#src/protocol/index.js';
import { receiveFile, sendFile } from '#src/transfer/index.js';

import { cleanUp } from '../support/clean-up.js';
import { type Direction, type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { startProgram } from '../support/program.js';
import { freePort, type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import {
  digestOf,
  expectEmpty,
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  transferContext,
  xftp,
} from '../support/transfers.js';

let relay: RelayProcess;
let proxy: FaultProxy;
/** For conditions that no event tells of. */
const DEADLINE = { interval: 5, timeout: 20_000 };

/** The relay's address through the proxy. */
let address: string;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

beforeEach(async () => {
  proxy = await startFaultProxy(relay.port);
  address = relay.addressWith({ port: proxy.port });
});

/** A file to send, and an empty folder for its descriptions. */
async function prepareSend(size: number): Promise<{ source: string; target: string }> {
  const folder = await temporaryFolder();
  const target = join(folder, 'descriptions');
  await mkdir(target);
  return { source: await makeFile(folder, size), target };
}

describe('A connection that breaks in the middle of a chunk', () => {
  const faults = [
    ['is cut', (direction: Direction): Fault => ({ type: 'cut', direction, after: 150_000 })],
    ['ends early', (direction: Direction): Fault => ({ type: 'truncate', direction, after: 150_000 })],
    ['delivers a changed byte', (direction: Direction): Fault => ({ type: 'flip', direction, at: 150_000 })],
  ] as const;

  it.each(faults)('while receiving and %s at every try ends the download', async (_, fault) => {
    const { recipients, into } = await sendSample(address);
    proxy.setFault(fault('down'));
    const result = await xftp(['recv', recipients[0], into, '-r', '2', '-y']);
    expectFailure(result, 'CONNECTION_LOST', /^The connection to 127\.0\.0\.1:\d+ was lost\.$/);
    expect(proxy.strikes()).toBe(2);
    await expectEmpty(into);
  });

  it('while receiving once is mended by another try', async () => {
    const sent = await sendSample(address);
    proxy.setFault({ type: 'cut', direction: 'down', after: 150_000 }, 1);
    const result = await xftp(['recv', sent.recipients[0], sent.into, '-r', '2', '-y']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(proxy.strikes()).toBe(1);
    await expectReceived(sent);
  });

  it.each(faults)('while sending and %s at every try ends the upload', async (_, fault) => {
    const { source, target } = await prepareSend(300_000);
    proxy.setFault(fault('up'));
    const result = await xftp(['send', source, target, '-s', address, '-r', '2']);
    expectFailure(result, 'CONNECTION_LOST', /^The connection to 127\.0\.0\.1:\d+ was lost\.$/);
    expect(proxy.strikes()).toBeGreaterThan(1);
    await expectEmpty(target);
  });

  it('while sending once is mended by another try, and the file is right', async () => {
    proxy.setFault({ type: 'cut', direction: 'up', after: 150_000 }, 1);
    const { source, target } = await prepareSend(300_000);
    const sending = await xftp(['send', source, target, '-s', address, '-r', '2']);
    expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
    expect(proxy.strikes()).toBe(1);
    const received = join(target, 'received.bin');
    const receiving = await xftp(['recv', join(target, 'sample.bin.xftp/rcv1.xftp'), received, '-y']);
    expect(receiving).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await digestOf(received)).toBe(await digestOf(source));
  });

  it('of TLS while it is being set up ends the transfer', async () => {
    const { source, target } = await prepareSend(1000);
    proxy.setFault({ type: 'cut', direction: 'down', after: 100 });
    const result = await xftp(['send', source, target, '-s', address, '-r', '2']);
    expectFailure(
      result,
      'CONNECT_FAILED',
      /^The connection to 127\.0\.0\.1:\d+ broke while it was set up\.$/,
    );
    await expectEmpty(target);
  });

  it('does no harm when it is only slow', async () => {
    const sent = await sendSample(address);
    proxy.setFault({ type: 'delay', direction: 'down', ms: 20 });
    expect(await xftp(['recv', sent.recipients[0], sent.into, '-y'])).toMatchObject({ exitCode: 0 });
    await expectReceived(sent);
  });
});

describe('A connection on which nothing moves any more', () => {
  const stall = { connectMs: 30_000, stallMs: 1000 };

  it('ends a download after the stall limit and leaves nothing', async () => {
    const { recipients, into } = await sendSample(address);
    const description = parseDescription(await readFile(recipients[0], 'utf8'));
    proxy.setFault({ type: 'stall', direction: 'down', after: 150_000 });
    const receiving = receiveFile(
      { description, destination: { folder: into } },
      transferContext({ deadlines: stall }),
    );
    await expect(receiving).rejects.toMatchObject({
      code: 'STALLED',
      message: expect.stringMatching(/^127\.0\.0\.1:\d+ has not sent or taken a byte for .*\.$/),
    });
    await expectEmpty(into);
  });

  it('ends an upload after the stall limit', async () => {
    const { source } = await prepareSend(3_000_000);
    proxy.setFault({ type: 'stall', direction: 'up', after: 500_000 });
    const request = {
      source,
      name: 'x',
      servers: [parseServerAddress(address)],
      recipients: 1,
      maxSize: 4e6,
    };
    await expect(sendFile(request, transferContext({ deadlines: stall }))).rejects.toMatchObject({
      code: 'STALLED',
    });
  });

  it.each([
    ['from its first byte', 0, { connectMs: 500 }],
    ['after its TLS handshake', 3000, stall],
  ] as const)('%s is given up after a limit', async (_, after, deadlines) => {
    const { source } = await prepareSend(1000);
    proxy.setFault({ type: 'stall', direction: 'down', after });
    const request = {
      source,
      name: 'x',
      servers: [parseServerAddress(address)],
      recipients: 1,
      maxSize: 4e6,
    };
    await expect(sendFile(request, transferContext({ deadlines }))).rejects.toMatchObject({
      code: 'STALLED',
    });
  });

  it('is left for another one, on which the download ends well', async () => {
    const sent = await sendSample(address);
    const description = parseDescription(await readFile(sent.recipients[0], 'utf8'));
    proxy.setFault({ type: 'stall', direction: 'down', after: 150_000 }, 1);
    const context = transferContext({ deadlines: stall, attempts: 2 });
    const before = proxy.accepted();
    await receiveFile({ description, destination: { folder: sent.into } }, context);
    expect(proxy.accepted() - before).toBe(2);
    await expectReceived(sent);
  });
});

describe('A relay that is down', () => {
  it('from the beginning ends the upload with a sentence that says so', async () => {
    const { source, target } = await prepareSend(1000);
    const nowhere = relay.addressWith({ port: await freePort() });
    const result = await xftp(['send', source, target, '-s', nowhere, '-r', '2']);
    expectFailure(result, 'CONNECT_FAILED', /^Cannot connect to 127\.0\.0\.1:\d+: nothing listens there\.$/);
    await expectEmpty(target);
  });

  it.each(['send', 'recv'] as const)('for good in the middle of a %s ends it', async (command) => {
    const own = await startRelayProcess();
    const front = await startFaultProxy(own.port);
    const through = own.addressWith({ port: front.port });
    const { source, target } = await prepareSend(3_000_000);
    const { recipients } = await sendSample(through, { size: 3_000_000 });
    front.setFault({ type: 'stall', direction: command === 'send' ? 'up' : 'down', after: 1_000_000 });
    const program = startProgram(
      'xftp',
      command === 'send'
        ? ['send', source, target, '-s', through, '-r', '2']
        : ['recv', recipients[0], target, '-y', '-r', '2'],
    );
    await front.struck();
    await own.kill();
    // Without what the proxy still holds.
    front.cutAll();
    front.setFault();
    expectFailure(
      await program.ended,
      'CONNECT_FAILED',
      /^The connection to .* broke while it was set up\.$/,
    );
    await expectEmpty(target);
  });

  it('for a while in the middle of a download, killed and started again, does no harm', async () => {
    const own = await startRelayProcess();
    const front = await startFaultProxy(own.port);
    const sent = await sendSample(own.addressWith({ port: front.port }), { size: 20_000_000 });
    front.setFault({ type: 'stall', direction: 'down', after: 8_000_000 });
    const program = startProgram('xftp', ['recv', sent.recipients[0], sent.into, '-y', '-r', '10']);
    await front.struck();
    await own.kill();
    // Without what the proxy still holds.
    front.cutAll();
    front.setFault();
    await own.start();
    expect(await program.ended).toMatchObject({ exitCode: 0, stderr: '' });
    await expectReceived(sent);
  });

  it('for a while in the middle of an upload, killed and started on the same port, does no harm', async () => {
    const own = await startRelayProcess();
    const { source, target } = await prepareSend(60_000_000);
    const program = startProgram('xftp', ['send', source, target, '-s', own.address, '-r', '10']);
    await expect.poll(() => own.chunkPaths().then(({ length }) => length), DEADLINE).toBeGreaterThan(2);
    await own.kill();
    await own.start();
    expect(await program.ended).toMatchObject({ exitCode: 0, stderr: '' });
    const descriptions = join(target, 'sample.bin.xftp');
    expect(await readdir(descriptions)).toEqual(['rcv1.xftp', 'snd.xftp.private']);
    const received = join(target, 'received.bin');
    expect(await xftp(['recv', join(descriptions, 'rcv1.xftp'), received, '-y'])).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
    expect(await digestOf(received)).toBe(await digestOf(source));
  });
});
