import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import {
  discardFile,
  type ReplicaCounts,
  sendFile,
  type SentFile,
  type TransferContext,
} from '#src/transfer/index.js';

import { type FakeRelay, type FakeReply, type FakeRequest, startFakeRelay } from '../support/fake-relay.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { transferContext } from '../support/transfers.js';

/** Bytes of a file that makes three chunks. */
const THREE_CHUNKS = 700_000;

/** What a relay was asked for. */
interface Asked {
  readonly relay: FakeRelay;
  /** Sender IDs that it gave. */
  readonly registered: string[];
  /** Sender IDs that it was asked to delete. */
  readonly deleted: string[];
}

/** A relay that does all that it is asked for, unless `answer` gives another answer. */
async function startRelay(answer: (request: FakeRequest) => FakeReply | undefined): Promise<Asked> {
  const registered: string[] = [];
  const deleted: string[] = [];
  const relay = await startFakeRelay({
    onCommand: (request) => {
      const { command, transmission } = request;
      const other = answer(request);
      if (command.type === 'FDEL') deleted.push(encodeBase64Url(transmission.entityId));
      if (other !== undefined) return other;
      if (command.type !== 'FNEW') return { response: { type: 'OK' } };
      const senderId = randomBytes(16);
      registered.push(encodeBase64Url(senderId));
      return {
        response: { type: 'SIDS', senderId, recipientIds: command.recipientKeys.map(() => randomBytes(16)) },
      };
    },
  });
  return { relay, registered, deleted };
}

async function send(
  asked: Asked | readonly Asked[],
  context: TransferContext,
  replicas?: ReplicaCounts,
): Promise<SentFile> {
  const source = join(await temporaryFolder(), 'source');
  await writeFile(source, randomBytes(THREE_CHUNKS));
  const servers = [asked].flat().map(({ relay }) => relay.server);
  const request = { source, name: 'x', servers, recipients: 1, maxSize: THREE_CHUNKS };
  return sendFile(replicas === undefined ? request : { ...request, replicas }, context);
}

/** Sender IDs of all that the sender's description names. */
function keptIn({ sender }: SentFile): string[] {
  return sender.chunks.flatMap(({ replicas }) => replicas.map(({ id }) => encodeBase64Url(id)));
}

function expectAllDeleted({ registered, deleted }: Asked): void {
  expect(registered).not.toEqual([]);
  expect(deleted.toSorted()).toEqual(registered.toSorted());
}

const FULL: FakeReply = { response: { type: 'ERR', error: { type: 'QUOTA' } } };

describe('A file that cannot be sent to its end', () => {
  it('leaves no chunk on the relay', async () => {
    let chunks = 0;
    const asked = await startRelay(({ command }) => {
      if (command.type === 'FNEW') chunks += 1;
      return command.type === 'FNEW' && chunks === 3 ? FULL : undefined;
    });
    const context = transferContext();
    await expect(send(asked, context)).rejects.toMatchObject({ code: 'RELAY_FULL' });
    expectAllDeleted(asked);
    expect(context.warnings).toEqual([]);
  });

  it('leaves no chunk that was registered and not uploaded', async () => {
    const asked = await startRelay(({ command }) => (command.type === 'FPUT' ? FULL : undefined));
    await expect(send(asked, transferContext())).rejects.toMatchObject({ code: 'RELAY_FULL' });
    expectAllDeleted(asked);
  });

  it('leaves no chunk for which more recipients could not be added', async () => {
    const asked = await startRelay(({ command }) => (command.type === 'FADD' ? FULL : undefined));
    const source = join(await temporaryFolder(), 'source');
    await writeFile(source, 'short');
    const request = { source, name: 'x', servers: [asked.relay.server], recipients: 300, maxSize: 10 };
    await expect(sendFile(request, transferContext())).rejects.toMatchObject({ code: 'RELAY_FULL' });
    expectAllDeleted(asked);
  });

  it('says how many chunks it had to leave', async () => {
    const asked = await startRelay(({ command }) => {
      if (command.type === 'FPUT') return FULL;
      return command.type === 'FDEL' ? { response: { type: 'ERR', error: { type: 'INTERNAL' } } } : undefined;
    });
    const context = transferContext();
    await expect(send(asked, context)).rejects.toMatchObject({ code: 'RELAY_FULL' });
    const count = String(asked.registered.length);
    expect(context.warnings).toEqual([
      expect.stringMatching(
        `^${count} of ${count} chunks? could not be deleted from the relays: they expire by themselves\\.$`,
      ),
    ]);
  });

  it('is not held up for long by a relay that no longer answers', async () => {
    const asked = await startRelay(({ command }) => {
      if (command.type === 'FPUT') return FULL;
      return command.type === 'FDEL' ? 'silence' : undefined;
    });
    const context = transferContext();
    const before = performance.now();
    await expect(send(asked, context)).rejects.toMatchObject({ code: 'RELAY_FULL' });
    expect(performance.now() - before).toBeLessThan(9000);
    expect(context.warnings).toHaveLength(1);
  });
});

describe('A file whose sending is stopped', () => {
  it('leaves no chunk, not even one whose registration was under way', async () => {
    const stop = new AbortController();
    const asked = await startRelay(({ command }) => {
      if (command.type === 'FNEW') stop.abort();
      return undefined;
    });
    const context = transferContext();
    await expect(send(asked, { ...context, signal: stop.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expectAllDeleted(asked);
    expect(context.warnings).toEqual([]);
  });

  it('while chunks are being deleted lets the rest be', async () => {
    const stop = new AbortController();
    const asked = await startRelay(({ command }) => {
      if (command.type === 'FPUT') return FULL;
      if (command.type !== 'FDEL') return undefined;
      stop.abort();
      return 'silence';
    });
    const context = transferContext();
    const before = performance.now();
    await expect(send(asked, { ...context, signal: stop.signal })).rejects.toMatchObject({
      code: 'RELAY_FULL',
    });
    expect(performance.now() - before).toBeLessThan(4000);
    expect(context.warnings).toHaveLength(1);
  });
});

describe('A file that was sent', () => {
  it('stays until it is discarded', async () => {
    const asked = await startRelay(() => undefined);
    const context = transferContext();
    const { sender } = await send(asked, context);
    expect(asked.deleted).toEqual([]);
    await discardFile(sender, context);
    expectAllDeleted(asked);
  });

  it.each([
    ['through other relays', { wanted: 1, required: 1 }],
    ['on fewer relays than wanted', { wanted: 2, required: 1 }],
  ])('%s leaves nothing on those that failed after they had made room', async (_, replicas) => {
    const [good, full] = [
      await startRelay(() => undefined),
      await startRelay(({ command }) => (command.type === 'FPUT' ? FULL : undefined)),
    ];
    // Which relay gets the first chunk is drawn.
    let sent = await send([good, full], transferContext(), replicas);
    while (full.registered.length === 0) sent = await send([good, full], transferContext(), replicas);
    expectAllDeleted(full);
    expect(good.deleted).toEqual([]);
    expect(good.registered).toEqual(expect.arrayContaining(keptIn(sent)));
  });

  it('is not held up for long, nor made to fail, by a relay that died after it had made room', async () => {
    const [good, dead] = [
      await startRelay(() => undefined),
      await startRelay(({ command }) => {
        if (command.type === 'FPUT') return FULL;
        return command.type === 'FDEL' ? 'silence' : undefined;
      }),
    ];
    const context = transferContext();
    const before = performance.now();
    const sent = await send([good, dead], context, { wanted: 2, required: 1 });
    expect(performance.now() - before).toBeLessThan(9000);
    expect(dead.deleted).not.toEqual([]);
    expect(keptIn(sent)).toHaveLength(sent.sender.chunks.length);
    expect(context.warnings).not.toContainEqual(expect.stringContaining('could not be deleted'));
  });
});
