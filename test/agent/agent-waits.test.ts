import { describe, expect, it, vi } from 'vitest';

import { SYSTEM_CLOCK } from '#src/agent/index.js';
import { CALLER, fakeClock } from './agent-samples.js';
import { setting } from './proxied-agent.js';

describe('a send', () => {
  it('waits for a relay that is not there, and goes on when it is asked to', async () => {
    const how = await setting(10);
    const { agent, proxy, path } = how;
    proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
    const { id } = await agent.send({ path }, CALLER);
    const failure = { kind: 'temporary', message: expect.stringMatching(/\.$/) as string };
    expect(await agent.reached(id, 'waiting')).toMatchObject({ waitingReason: 'relay', failure });
    const { events } = agent.listEvents({ types: ['transfer.state', 'transfer.failed'], limit: 10 });
    expect(events.at(-1)).toMatchObject({ data: { to: 'waiting', waitingReason: 'relay', failure } });
    // Now and then a probe is under way.
    const server = await agent.until(() => agent.listServers().find(({ gate }) => gate === 'closed'));
    expect(server.retryAt).toEqual(expect.any(Number));
    proxy.setFault();
    agent.setNetwork({ online: true });
    const completed = await agent.reached(id, 'completed');
    expect(completed).not.toHaveProperty('waitingReason');
    expect(completed).not.toHaveProperty('failure');
  });

  it('waits for the network when a client says that there is none', async () => {
    const how = await setting(10);
    const { agent, proxy, path } = how;
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path }, CALLER);
    expect(await agent.reached(id, 'waiting')).toMatchObject({ waitingReason: 'offline' });
    expect(proxy.accepted()).toBe(0);
    agent.setNetwork({ online: null });
    await agent.reached(id, 'completed');
    const changes = agent.listEvents({ types: ['network.changed'], limit: 10 }).events;
    expect(changes).toHaveLength(2);
  });
});

describe('a deadline', () => {
  it('that passes while the agent runs fails the transfer, and a retry gives it a new one', async () => {
    // Only what happens every so often is faked: the deadlines are looked at in intervals.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const wall = fakeClock(Date.now());
      const clock = { now: wall.now, monotonic: SYSTEM_CLOCK.monotonic };
      const { agent, path } = await setting(10, { clock });
      agent.setNetwork({ online: false });
      const deadline = wall.now() + 60_000;
      const { id } = await agent.send({ path, deadline }, CALLER);
      wall.advance(59_999);
      vi.advanceTimersByTime(30_000);
      expect(agent.get(id).state).not.toBe('failed');
      wall.advance(1);
      vi.advanceTimersByTime(30_000);
      expect(agent.get(id)).toMatchObject({
        state: 'failed',
        finishedAt: wall.now(),
        failure: { code: 'DEADLINE_PASSED', kind: 'permanent', hint: expect.any(String) as string },
      });
      const retried = agent.retry(id);
      expect(retried.deadline).toBe(wall.now() + 48 * 3600_000);
      expect(retried).not.toHaveProperty('failure');
      await agent.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('tells what the transfer waited for', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const wall = fakeClock(Date.now());
      const clock = { now: wall.now, monotonic: SYSTEM_CLOCK.monotonic };
      const { agent, path, proxy } = await setting(10, { clock });
      proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
      const { id } = await agent.send({ path, deadline: wall.now() + 60_000 }, CALLER);
      const { failure } = await agent.reached(id, 'waiting');
      wall.advance(60_000);
      vi.advanceTimersByTime(30_000);
      expect(agent.get(id).failure).toMatchObject({
        code: 'DEADLINE_PASSED',
        message: expect.stringContaining(failure?.message ?? 'none') as string,
      });
      await agent.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('that passed while the agent was stopped fails the transfer at its next start', async () => {
    const wall = fakeClock(Date.now());
    const clock = { now: wall.now, monotonic: SYSTEM_CLOCK.monotonic };
    const { agent, path } = await setting(10, { clock });
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path, deadline: wall.now() + 1000 }, CALLER);
    await agent.stop();
    wall.advance(1000);
    const again = await agent.reopen();
    expect(again.get(id)).toMatchObject({ state: 'failed', failure: { code: 'DEADLINE_PASSED' } });
  });
});
