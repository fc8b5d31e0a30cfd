import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { Pace } from '#src/transport/pace.js';
import { ReceiveWindow } from '#src/transport/receive-window.js';
import { startHttp2Server } from '../support/http2-server.js';
import { block, openChannel, writeAll } from './channel-samples.js';

const MB = 1000 * 1000;
/** Official relays close a connection that sends more than four a second. */
const PAUSE_MS = 1000;

/** Windows that a client asks for, with the time. */
function windowsOf(session: ServerHttp2Session): { readonly at: number; readonly bytes: number }[] {
  const windows: { at: number; bytes: number }[] = [];
  session.on('remoteSettings', ({ initialWindowSize = 0 }) => {
    windows.push({ at: performance.now(), bytes: initialWindowSize });
  });
  return windows;
}

describe('The window of a connection', () => {
  it('is that of its fastest download, and changes no more than once a second', async () => {
    const streams: ServerHttp2Stream[] = [];
    let windows: ReturnType<typeof windowsOf> = [];
    const server = await startHttp2Server({
      onStream: (stream, { session }) => {
        if (streams.length === 0) windows = windowsOf(session);
        streams.push(stream);
        stream.respond();
      },
    });
    const channel = await openChannel(server);
    const download = (pace?: Pace): Promise<unknown> =>
      channel.exchange({ block: block(1), into: new Uint8Array(MB) }, pace === undefined ? {} : { pace });
    /** Bytes on all streams that have not ended, for so long. */
    const serve = async (ms: number): Promise<void> => {
      const end = performance.now() + ms;
      while (performance.now() < end) {
        for (const stream of streams)
          if (!stream.writableEnded) await writeAll(stream, block(2).subarray(0, 500));
        await sleep(20);
      }
    };
    const pace = new Pace(MB);
    const slow = download(pace);
    const fast = download();
    await serve(2500);
    // The slow one came first, and was alone for a moment; the last wish is not lost.
    expect(windows.length).toBeLessThanOrEqual(3);
    expect(windows.at(-1)?.bytes).toBe(8 * 1024 * 1024);

    streams[1]?.end();
    await fast;
    await serve(1500);
    expect(windows.at(-1)?.bytes).toBe(Math.round(MB / 12));
    const before = windows.length;
    for (let rate = 1; rate <= 40; rate += 1) {
      pace.setRate(rate * MB);
      await serve(30);
    }
    await serve(PAUSE_MS + 200);
    expect(windows.length - before).toBeLessThanOrEqual(4);
    expect(windows.at(-1)?.bytes).toBe(Math.round((40 * MB) / 12));
    const pauses = windows.slice(1).map(({ at }, index) => at - (windows[index]?.at ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThan(PAUSE_MS - 100);
    streams[0]?.end();
    await slow;
  });

  it('is set again only when the last change was taken, and never after the end', () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const told: number[] = [];
    const taken: (() => void)[] = [];
    const window = new ReceiveWindow((bytes, onTaken) => {
      told.push(bytes);
      taken.push(onTaken);
    });
    const end = window.begin(new Pace(12 * MB));
    window.begin(new Pace(24 * MB));
    vi.advanceTimersByTime(10 * PAUSE_MS);
    expect(told).toEqual([MB]);
    taken[0]?.();
    vi.advanceTimersByTime(PAUSE_MS);
    expect(told).toEqual([MB, 2 * MB]);
    end();
    taken[1]?.();
    expect(vi.getTimerCount()).toBe(1);
    window.close();
    expect(vi.getTimerCount()).toBe(0);
    window.begin(undefined);
    expect(told).toHaveLength(2);
  });

  it('stays when there is no download any more, for the next one', () => {
    const told: number[] = [];
    const window = new ReceiveWindow((bytes) => told.push(bytes));
    const pace = new Pace(12 * MB);
    for (let count = 0; count < 5; count += 1) window.begin(pace)();
    expect(told).toEqual([MB]);
  });
});
