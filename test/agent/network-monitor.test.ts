import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { NetworkInfo } from '#src/agent/model.js';
import { NetworkMonitor } from '#src/agent/network-monitor.js';
import { XftpError } from '#src/protocol/index.js';

let told: unknown[];
let changes: NetworkInfo[];
let addresses: string;
let proxyListens: boolean;
let monitor: NetworkMonitor;

beforeEach(() => {
  vi.useFakeTimers();
  [told, changes, addresses, proxyListens] = [[], [], 'eth0 192.0.2.1', false];
  monitor = new NetworkMonitor(
    {
      onForced: (online) => told.push(online ? 'forced on' : 'forced off'),
      onAddresses: () => told.push('addresses'),
      onChange: (network) => changes.push(network),
    },
    () => Promise.resolve(proxyListens),
    () => addresses,
  );
  monitor.start();
});

afterEach(() => {
  monitor.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function connectFailure(code: string): XftpError {
  return new XftpError('CONNECT_FAILED', 'Cannot connect.', {
    cause: Object.assign(new Error(code), { code }),
  });
}

describe('the network', () => {
  it('is there until something says otherwise, and nothing is told', () => {
    vi.advanceTimersByTime(60_000);
    monitor.succeeded();
    expect(monitor.info).toEqual({ online: true, source: 'observed', metered: false });
    expect([told, changes]).toEqual([[], []]);
  });

  it.each(['ENETUNREACH', 'ENETDOWN', 'EAI_AGAIN', 'EADDRNOTAVAIL'])(
    'is gone after %s, until a request works',
    (code) => {
      monitor.failed(connectFailure(code));
      monitor.failed(connectFailure(code));
      expect(monitor.info.online).toBe(false);
      monitor.succeeded();
      expect(changes.map(({ online }) => online)).toEqual([false, true]);
    },
  );

  it('is not gone because a relay is', () => {
    for (const error of [
      connectFailure('ECONNREFUSED'),
      connectFailure('ENOTFOUND'),
      new XftpError('STALLED', 'Nothing moves.'),
      new Error('bug'),
    ])
      monitor.failed(error);
    expect(monitor.info.online).toBe(true);
  });

  it('is looked at every two seconds: a change of addresses asks for another try', () => {
    addresses = 'wlan0 198.51.100.7';
    vi.advanceTimersByTime(2000);
    expect([told, changes]).toEqual([['addresses'], []]);
    addresses = '';
    vi.advanceTimersByTime(2000);
    expect(changes.map(({ online }) => online)).toEqual([false]);
    expect(told).toEqual(['addresses']);
    addresses = 'eth0 192.0.2.1';
    vi.advanceTimersByTime(2000);
    expect(changes.map(({ online }) => online)).toEqual([false, true]);
    expect(told).toEqual(['addresses', 'addresses']);
  });

  it('is gone with its proxy, which is asked for every two seconds: when it is back all is tried again', async () => {
    monitor.failed(new XftpError('PROXY_FAILED', 'Cannot connect to the SOCKS proxy.'));
    expect(monitor.info.online).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect([told, monitor.info.online]).toEqual([[], false]);
    proxyListens = true;
    await vi.advanceTimersByTimeAsync(2000);
    expect(changes.map(({ online }) => online)).toEqual([false, true]);
    expect(told).toEqual(['addresses']);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toEqual(['addresses']);
  });

  it('is what a client says, whatever is observed, until it leaves that to the agent again', () => {
    monitor.set({ online: false });
    expect(monitor.info).toEqual({ online: false, source: 'client', metered: false });
    monitor.succeeded();
    expect(monitor.info.online).toBe(false);
    monitor.set({ metered: true });
    expect(monitor.info).toEqual({ online: false, source: 'client', metered: true });
    monitor.set({ online: true });
    monitor.failed(connectFailure('ENETDOWN'));
    expect(monitor.info.online).toBe(true);
    monitor.set({ online: null });
    expect(monitor.info).toEqual({ online: false, source: 'observed', metered: true });
    expect(told.filter((what) => what !== 'addresses')).toEqual([
      'forced off',
      'forced off',
      'forced on',
      'forced on',
    ]);
    expect(told.filter((what) => what === 'addresses')).toHaveLength(1);
  });

  it('is told once for each change', () => {
    for (let go = 0; go < 3; go++) monitor.set({ online: false, metered: true });
    expect(changes).toEqual([{ online: false, source: 'client', metered: true }]);
  });
});
