import { describe, expect, it } from 'vitest';

import { Database } from '#src/agent/database.js';
import { EventLog } from '#src/agent/event-log.js';
import { type testDatabase, testStores } from './agent-samples.js';

function attempt(work: () => void): void {
  expect(work).toThrow('undone');
}

describe('the events', () => {
  it('are numbered without gaps, across undone transactions, restarts and pruning', async () => {
    const { database, events, clock } = await testStores();
    const { path } = database as Awaited<ReturnType<typeof testDatabase>>;
    const append = (log: EventLog, count: number): void => {
      for (let index = 0; index < count; index++) log.append('servers.changed', {});
    };
    const undo = (): void => {
      attempt(() => {
        database.transaction(() => {
          append(events, 5);
          throw new Error('undone');
        });
      });
    };
    undo();
    append(events, 3);
    undo();
    append(events, 1);
    expect(events.list({ limit: 100 }).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    events.prune({ before: clock.now() + 1, count: 100 });
    expect(events.list({ limit: 100 })).toEqual([]);
    expect(events.range()).toEqual({ oldest: 0, newest: 4 });
    undo();
    database.close();
    const again = new Database(path);
    const reopened = new EventLog(again, clock, () => undefined);
    expect(reopened.range().newest).toBe(4);
    append(reopened, 2);
    expect(reopened.list({ limit: 100 }).map(({ seq }) => seq)).toEqual([5, 6]);
    expect(reopened.range()).toEqual({ oldest: 5, newest: 6 });
    again.close();
  });

  it('are told after the commit, in order, and not at all when it is undone', async () => {
    const { database, events } = await testStores();
    const told: number[] = [];
    events.listen((event) => {
      expect(
        database.get('SELECT 1 FROM events WHERE seq = ?', 'seq' in event ? event.seq : 0),
      ).toBeDefined();
      told.push('seq' in event ? event.seq : 0);
    });
    attempt(() => {
      database.transaction(() => {
        events.append('servers.changed', {});
        throw new Error('undone');
      });
    });
    database.transaction(() => {
      for (let index = 0; index < 3; index++) events.append('servers.changed', {});
      expect(told).toEqual([]);
    });
    events.append('servers.changed', {});
    expect(told).toEqual([1, 2, 3, 4]);
  });

  it('are told in order even when a listener makes another one', async () => {
    const { database, events } = await testStores();
    const told: number[] = [];
    events.listen((event) => {
      if ('seq' in event && event.seq === 1)
        database.transaction(() => {
          events.append('servers.changed', {});
        });
    });
    events.listen((event) => told.push('seq' in event ? event.seq : 0));
    database.transaction(() => {
      events.append('servers.changed', {});
      events.append('servers.changed', {});
    });
    expect(told).toEqual([1, 2, 3]);
  });

  it('reach the others when a listener throws, and nobody who stopped listening', async () => {
    const { events, listenerErrors } = await testStores();
    const told: string[] = [];
    const stop = events.listen(() => told.push('stopped'));
    const failure = new Error('listener');
    events.listen(() => {
      throw failure;
    });
    events.listen(() => told.push('other'));
    stop();
    events.append('servers.changed', {});
    expect(told).toEqual(['other']);
    expect(listenerErrors).toEqual([failure]);
  });

  it('are listed after a number, of some types or of one transfer, so many at a time', async () => {
    const { events, transfers, add } = await testStores();
    for (const id of ['one', 'two']) add(id);
    for (const id of ['one', 'two', 'one'])
      transfers.transition(id, { to: transfers.row(id).state === 'queued' ? 'preparing' : 'paused' });
    events.append('servers.changed', {});
    const numbers = (query: Partial<Parameters<EventLog['list']>[0]>): number[] =>
      events.list({ limit: 100, ...query }).map(({ seq }) => seq);
    expect(numbers({})).toEqual([1, 2, 3, 4, 5, 6]);
    expect(numbers({ since: 4 })).toEqual([5, 6]);
    expect(numbers({ limit: 2, since: 1 })).toEqual([2, 3]);
    expect(numbers({ types: ['transfer.created', 'servers.changed'] })).toEqual([1, 2, 6]);
    expect(numbers({ types: [] })).toEqual([]);
    expect(numbers({ transferId: 'one' })).toEqual([1, 3, 5]);
    expect(numbers({ transferId: 'one', types: ['transfer.state'], since: 3 })).toEqual([5]);
    expect(events.list({ limit: 1 })[0]).toMatchObject({ type: 'transfer.created', transferId: 'one' });
  });

  it('are kept without gaps when the clock was set back in between', async () => {
    const { events, clock } = await testStores();
    const append = (count: number): void => {
      for (let index = 0; index < count; index++) events.append('servers.changed', {});
    };
    append(3);
    clock.advance(-1000);
    append(3);
    clock.advance(1000);
    append(3);
    events.prune({ before: clock.now(), count: 100 });
    expect(events.list({ limit: 100 }).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    clock.advance(1);
    append(1);
    events.prune({ before: clock.now(), count: 100 });
    expect(events.range()).toEqual({ oldest: 10, newest: 10 });
  });

  it('are kept for so long and so many', async () => {
    const { events, clock } = await testStores();
    for (let index = 0; index < 10; index++) {
      events.append('servers.changed', {});
      clock.advance(10);
    }
    events.prune({ before: 0, count: 8 });
    expect(events.range()).toEqual({ oldest: 3, newest: 10 });
    events.prune({ before: clock.now() - 30, count: 8 });
    expect(events.range()).toEqual({ oldest: 8, newest: 10 });
    events.prune({ before: 0, count: 0 });
    expect(events.range()).toEqual({ oldest: 0, newest: 10 });
  });
});
