import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { type FileDescription, parseDescription, parseServerList } from '#src/protocol/index.js';
import { deleteFile, receiveFile, sendFile, type SentFile } from '#src/transfer/index.js';

import { countedRelay } from '../agent/relay-samples.js';
import { addressesOf, FIVE_CHUNKS, held, mortalRelays, portsOf } from '../agent/replica-samples.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import {
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  transferContext,
  xftp,
} from '../support/transfers.js';
import { loopbackRelay } from '../faults/agent-fault-samples.js';
import { bodyLie, type Lie, longer, startLyingRelay } from '../faults/lying-relay.js';

type Context = ReturnType<typeof transferContext>;

/** Sends five chunks through relays. */
async function send(
  addresses: readonly string[],
  replicas: { readonly wanted: number; readonly required: number },
  context: Context,
): Promise<SentFile> {
  const source = await makeFile(await temporaryFolder(), FIVE_CHUNKS);
  const servers = parseServerList(addresses.join(';'));
  return sendFile({ source, name: 'x', servers, recipients: 1, maxSize: FIVE_CHUNKS, replicas }, context);
}

/** The description of a sent file, with the replicas of one relay first, as if chance had put them there. */
async function firstFrom(path: string, address: string): Promise<FileDescription> {
  const parsed = parseDescription(await readFile(path, 'utf8'));
  const [server] = parseServerList(address);
  const isFirst = ({ server: { port } }: FileDescription['chunks'][0]['replicas'][0]): number =>
    port === server?.port ? 0 : 1;
  return {
    ...parsed,
    chunks: parsed.chunks.map((chunk) => ({
      ...chunk,
      replicas: chunk.replicas.toSorted((one, other) => isFirst(one) - isFirst(other)),
    })),
  };
}

describe('xftp with --replicas 2', () => {
  it('puts each part on two relays, receives it without either of them, and deletes all copies', async () => {
    const relays = await mortalRelays(2);
    const folder = await temporaryFolder();
    const source = await makeFile(folder, FIVE_CHUNKS);
    const sent = await xftp([
      'send',
      source,
      folder,
      '-n',
      '2',
      '--replicas',
      '2',
      '-s',
      addressesOf(relays).join(';'),
    ]);
    expect(sent).toMatchObject({ exitCode: 0, stderr: '' });
    expect(relays.map((relay) => relay.chunks())).toEqual([5, 5]);
    const description = join(folder, 'sample.bin.xftp/rcv1.xftp');
    for (const ports of portsOf(await readFile(description, 'utf8'))) expect(new Set(ports).size).toBe(2);
    const into = await temporaryFolder();
    relays[0]?.die();
    const received = await xftp(['recv', description, into, '-y', '-r', '1']);
    // The chunks that came cannot be acknowledged on the relay that is gone.
    expect(received).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^Warning: The file is complete, but/),
    });
    expect(await readFile(join(into, 'sample.bin'))).toEqual(await readFile(source));
    relays[0]?.revive();
    const deleted = await xftp(['del', join(folder, 'sample.bin.xftp/snd.xftp.private'), '-y']);
    expect(deleted).toMatchObject({ exitCode: 0, stderr: '' });
    expect(held(relays)).toBe(0);
  });

  it('is refused when fewer relays are named, before anything is uploaded', async () => {
    const relay = await countedRelay();
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 1000);
    const servers = `${relay.address};${relay.address}`;
    const result = await xftp(['send', source, folder, '--replicas', '2', '-s', servers]);
    expectFailure(
      result,
      'INVALID_ARGUMENT',
      /^The file must be on 2 relays, and only 1 can be chosen from: name more/,
    );
    expect((await relay.counts()).FNEW).toBe(0);
  });
});

describe('A send with replicas', () => {
  it('puts those of a dead relay on another one, with one warning', async () => {
    const relays = await mortalRelays(3);
    relays[0]?.die();
    const context = transferContext();
    const { recipients } = await send(addressesOf(relays), { wanted: 2, required: 2 }, context);
    expect(relays.map((relay) => relay.chunks())).toEqual([0, 5, 5]);
    expect(recipients[0]?.chunks.map(({ replicas }) => replicas.length)).toEqual([2, 2, 2, 2, 2]);
    expect(context.warnings.length).toBeLessThanOrEqual(1);
  });

  it('is content with as many as are required, and says so', async () => {
    const relays = await mortalRelays(2);
    relays[0]?.die();
    const context = transferContext();
    const { recipients, sender } = await send(addressesOf(relays), { wanted: 2, required: 1 }, context);
    expect(recipients[0]?.chunks.map(({ replicas }) => replicas.length)).toEqual([1, 1, 1, 1, 1]);
    expect(context.warnings.at(-1)).toBe('Some parts of the file are on 1 instead of 2 relays.');
    await deleteFile(sender, context);
    expect(held(relays)).toBe(0);
  });

  it('fails when fewer can take a part, names the relay, and leaves nothing on the others', async () => {
    const relays = await mortalRelays(2);
    relays[0]?.die();
    const context = transferContext();
    const sending = send(addressesOf(relays), { wanted: 2, required: 2 }, context);
    await expect(sending).rejects.toThrow(
      new RegExp(
        `^Part \\d of the file must be on 2 relays, and too few can take it\\. .*127\\.0\\.0\\.1:${String(relays[0]?.proxy.port)}`,
      ),
    );
    expect(held(relays)).toBe(0);
    expect((await relays[1]?.counts())?.FDEL).toBe((await relays[1]?.counts())?.FNEW);
  });
});

describe('A receive of a file with replicas', () => {
  it.each([
    ['bytes of another size', bodyLie((body) => longer(body, 1))],
    ['bytes under a wrong tag', bodyLie((body) => randomBytes(body.length))],
    [
      'that it has nothing',
      ({ command }, honest) =>
        command.type === 'FGET' ? { response: { type: 'ERR', error: { type: 'AUTH' } } } : honest,
    ],
  ] as readonly [string, Lie][])('survives a first relay that answers with %s', async (_, lie) => {
    const [honest, liar] = [await loopbackRelay(), await startLyingRelay()];
    const sent = await sendSample(`${honest.address};${liar.address}`, { replicas: 2 });
    liar.lie(lie);
    const description = await firstFrom(sent.recipients[0], liar.address);
    await receiveFile({ description, destination: { folder: sent.into } }, transferContext());
    await expectReceived(sent);
  });

  it('survives a first relay that hands out bytes of its own making', async () => {
    const [honest, liar] = [await loopbackRelay(), await startLyingRelay()];
    const sent = await sendSample(`${honest.address};${liar.address}`, { replicas: 2 });
    liar.tamper((chunk) => randomBytes(chunk.length));
    const description = await firstFrom(sent.recipients[0], liar.address);
    await receiveFile({ description, destination: { folder: sent.into } }, transferContext());
    await expectReceived(sent);
  });

  it('asks a relay that has failed last: it does not cost a try for each part', async () => {
    const [honest, liar] = [await loopbackRelay(), await startLyingRelay()];
    const sent = await sendSample(`${honest.address};${liar.address}`, {
      replicas: 2,
      size: 9 * 4 * 1024 ** 2,
    });
    const description = await firstFrom(sent.recipients[0], liar.address);
    let asked = 0;
    liar.lie(({ command }, reply) => {
      if (command.type !== 'FGET') return reply;
      asked += 1;
      return { response: { type: 'ERR', error: { type: 'AUTH' } } };
    });
    await receiveFile({ description, destination: { folder: sent.into } }, transferContext());
    await expectReceived(sent);
    // At most six chunks are under way when the first answer comes.
    expect(description.chunks.length).toBeGreaterThan(6);
    expect(asked).toBeLessThanOrEqual(6);
  });

  it('fails when no relay has a part, and tells what each said', async () => {
    const [one, other] = [await startLyingRelay(), await startLyingRelay()];
    const sent = await sendSample(`${one.address};${other.address}`, { replicas: 2, size: 1000 });
    one.lie(({ command }, honest) =>
      command.type === 'FGET' ? { response: { type: 'ERR', error: { type: 'AUTH' } } } : honest,
    );
    other.tamper((chunk) => randomBytes(chunk.length));
    const path = join(sent.into, '../copy.xftp');
    await writeFile(path, await readFile(sent.recipients[0]));
    const result = await xftp(['recv', path, sent.into, '-y', '-r', '1']);
    expectFailure(result, 'CHUNK_DIGEST', /^None of 2 relays could give part 1 of this file\./);
    for (const { address } of [one, other]) expect(result.stderr).toContain(address);
  });
});
