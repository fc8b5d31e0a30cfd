import { describe, expect, it } from 'vitest';

import {
  STREAM_WINDOW,
  WIDE_STREAM_WINDOW,
  WIDE_UPLOAD_COST,
  WIDEN_AFTER,
  WIDEN_MS,
} from '#src/relay/limits.js';
import { UploadSlots } from '#src/relay/upload-slots.js';
import { asSender, errorText, RawClient, readReply } from '../support/raw-client.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** Room for four wide uploads without a crowd. */
const TOTAL = 8 * WIDE_UPLOAD_COST;

/** Slots, the time that they see, and connections that note their windows. */
function slotsOf(total = TOTAL): {
  slots: UploadSlots;
  pass: (ms: number) => void;
  connection: () => { setStreamWindow: (bytes: number) => void; windows: number[] };
} {
  let now = 0;
  return {
    slots: new UploadSlots(total, 16, () => now),
    pass: (ms) => {
      now += ms;
    },
    connection: () => {
      const windows: number[] = [];
      return { windows, setStreamWindow: (bytes) => windows.push(bytes) };
    },
  };
}

/** How many more uploads can begin, each on a connection of its own. */
function free(slots: UploadSlots): number {
  const taken = [];
  for (;;) {
    const slot = slots.take({ setStreamWindow: () => undefined });
    if (slot === undefined) break;
    taken.push(slot);
  }
  for (const slot of taken) slot.free();
  return taken.length;
}

describe('the window of a connection', () => {
  it('becomes wide once, when an upload on it moves fast', () => {
    const { slots, pass, connection } = slotsOf();
    const own = connection();
    const slot = slots.take(own);
    slot?.received(WIDEN_AFTER - 1);
    pass(WIDEN_MS - 1);
    expect(own.windows).toEqual([]);
    slot?.received(1);
    slot?.received(4 * WIDEN_AFTER);
    slot?.free();
    slots.take(own)?.received(2 * WIDEN_AFTER);
    expect(own.windows).toEqual([WIDE_STREAM_WINDOW]);
  });

  it('stays as it is when an upload is slow, or is not read', () => {
    const { slots, pass, connection } = slotsOf();
    const [slow, unread] = [connection(), connection()];
    const slot = slots.take(slow);
    slots.take(unread)?.received(WIDEN_AFTER - 1);
    slot?.received(WIDEN_AFTER - 1);
    pass(WIDEN_MS);
    slot?.received(8 * WIDEN_AFTER);
    expect([...slow.windows, ...unread.windows]).toEqual([]);
  });

  it('lets its uploads count as several while they are under way, so that memory keeps its bound', () => {
    const { slots, connection } = slotsOf();
    const own = connection();
    const [first, second] = [slots.take(own), slots.take(own)];
    expect(free(slots)).toBe(TOTAL - 2);
    first?.received(WIDEN_AFTER);
    expect(free(slots)).toBe(TOTAL - 2 * WIDE_UPLOAD_COST);
    const third = slots.take(own);
    expect(free(slots)).toBe(TOTAL - 3 * WIDE_UPLOAD_COST);
    for (const slot of [first, second, third]) slot?.free();
    expect(free(slots)).toBe(TOTAL);
  });

  it('stays as it is while half of all uploads are under way, and becomes narrow again in such a crowd', () => {
    const { slots, connection } = slotsOf();
    const [wide, late] = [connection(), connection()];
    const slot = slots.take(wide);
    slot?.received(WIDEN_AFTER);
    const crowd = Array.from({ length: TOTAL / 2 }, () => slots.take(connection()));
    slots.take(late)?.received(WIDEN_AFTER);
    slot?.free();
    expect(late.windows).toEqual([]);
    expect(wide.windows).toEqual([WIDE_STREAM_WINDOW, STREAM_WINDOW]);
    expect(slots.take(wide)).toBeDefined();
    for (const each of crowd) each?.free();
    // Two uploads are still there, and neither of them is wide.
    expect(free(slots)).toBe(TOTAL - 2);
  });
});

describe('a relay', () => {
  it('lets a client that sends fast have a whole chunk under way, and no other one', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(1048576));
    const stream = client.start();
    const reply = RawClient.reply(stream);
    const window = (): number | undefined => client.http2.remoteSettings.initialWindowSize;
    stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
    await new Promise((resolve) => stream.write(chunk.bytes.subarray(0, WIDEN_AFTER - 1), resolve));
    // Everything that was sent before the answer to this has been read.
    await new Promise((resolve) => client.http2.ping(resolve));
    expect(window()).toBe(STREAM_WINDOW);
    stream.end(chunk.bytes.subarray(WIDEN_AFTER - 1));
    expect(errorText(readReply((await reply).body).response)).toBe('OK');
    expect(window()).toBe(WIDE_STREAM_WINDOW);
    const large = await client.create(chunkBytes(4 * 1048576));
    expect(await client.put(large)).toBe('OK');
    expect(Buffer.compare((await client.get(large)) as Buffer, large.bytes)).toBe(0);
    expect((await relay.client()).http2.remoteSettings.initialWindowSize).toBe(STREAM_WINDOW);
  });
});
