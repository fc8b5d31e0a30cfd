import { expect, it, vi } from 'vitest';

import { coverSession } from '#src/agent/cover-traffic.js';
import { RelayClient } from '#src/client/index.js';
import { BLOCK_SIZE, parseServerAddress, type ServerAddress } from '#src/protocol/index.js';
import { DEFAULT_DEADLINES, openSession, type Session, SessionPool } from '#src/transport/index.js';

import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { testRelay } from '../support/test-relay.js';

/** So short that many fit into a test. */
const INTERVAL_MS = { from: 2, to: 10 };

/** A relay, and what counts the bytes on their way to it. */
async function setting(): Promise<{ readonly server: ServerAddress; readonly wire: FaultProxy }> {
  const relay = await testRelay({ host: '127.0.0.1' });
  const wire = await startFaultProxy(relay.port);
  const address = relay.address.replace(`:${String(relay.port)}`, `:${String(wire.port)}`);
  return { server: parseServerAddress(address), wire };
}

const open = (server: ServerAddress): Promise<Session> =>
  openSession(server, { deadlines: DEFAULT_DEADLINES });

it('blocks that look like any other command go over an open session while it is on, none while it is off', async () => {
  const { server, wire } = await setting();
  const session = await open(server);
  let on = false;
  const isOn = vi.fn(() => on);
  const before = wire.passed('up');
  coverSession(session, { isOn, intervalMs: INTERVAL_MS });
  await vi.waitUntil(() => isOn.mock.calls.length > 10);
  expect(wire.passed('up')).toBe(before);
  on = true;
  await vi.waitUntil(() => wire.passed('up') > before + 4 * BLOCK_SIZE);
  on = false;
  // Those that were under way have an answer by then.
  const asked = isOn.mock.calls.length;
  await vi.waitUntil(() => isOn.mock.calls.length > asked + 2);
  const after = wire.passed('up');
  const later = isOn.mock.calls.length;
  await vi.waitUntil(() => isOn.mock.calls.length > later + 5);
  expect(wire.passed('up')).toBe(after);
  session.close();
  await session.closed;
});

it('a session that nobody uses ends in its time all the same, and with it its cover traffic', async () => {
  const { server } = await setting();
  const isOn = vi.fn(() => true);
  let session: Session | undefined;
  const pool = new SessionPool({
    open: async (address) => {
      session = await open(address);
      coverSession(session, { isOn, intervalMs: INTERVAL_MS });
      return session;
    },
    sessionsPerServer: 1,
    idleMs: 500,
  });
  await new RelayClient(pool).ping(server);
  await session?.closed;
  const calls = isOn.mock.calls.length;
  expect(calls).toBeGreaterThan(0);
  // Another one's time goes on.
  const other = await open(server);
  const otherIsOn = vi.fn(() => true);
  coverSession(other, { isOn: otherIsOn, intervalMs: INTERVAL_MS });
  await vi.waitUntil(() => otherIsOn.mock.calls.length > 5);
  expect(isOn.mock.calls.length).toBe(calls);
  other.close();
  pool.close();
});
