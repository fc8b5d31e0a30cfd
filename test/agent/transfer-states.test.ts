import { describe, expect, it } from 'vitest';

import type { Direction, FailureInfo, TransferState } from '#src/agent/model.js';
import { isFinal, mayFollow } from '#src/agent/transfer-states.js';
import type { Transition } from '#src/agent/transfer-store.js';
import { failing } from '../crypto/expected-failure.js';
import { testStores, type TestStores } from './agent-samples.js';

const STATES = [
  'queued',
  'preparing',
  'uploading',
  'awaiting_approval',
  'downloading',
  'verifying',
  'waiting',
  'paused',
  'failed',
  'cancelled',
  'completed',
] as const satisfies readonly TransferState[];

/** Rows: from; columns: to, in the order of STATES. `b` both, `s` send only, `r` receive only, `.` never. */
const TABLE: Record<TransferState, string> = {
  //                  q p u a d v w p f c c
  queued: '           . s s r r r b b b b .',
  preparing: '        . . s . . . b b b b .',
  uploading: '        . . . . . . b b b b b',
  awaiting_approval: 'b . . . . . . b b b .',
  downloading: '      . . . r . r b b b b .',
  verifying: '        . . . r r . b b b b b',
  waiting: '          . s s r r r . b b b .',
  paused: '           b . . . . . . . b b .',
  failed: '           b . . . . . . . . . .',
  cancelled: '        b . . . . . . . . . .',
  completed: '        . . . . . . . . . . .',
};

function allowed(direction: Direction, from: TransferState, to: TransferState): boolean {
  const cell = TABLE[from].trim().split(' ')[STATES.indexOf(to)] ?? '?';
  return cell === 'b' || cell === direction[0];
}

const FAILURE: FailureInfo = { code: 'CHUNK_GONE', kind: 'gone', temporary: false, message: 'Gone.' };

function stepTo(to: TransferState): Transition {
  if (to === 'waiting') return { to, reason: 'relay' };
  return to === 'failed' ? { to, failure: FAILURE } : { to };
}

/** A transfer that is in a state, however it got there. */
function put(stores: TestStores, direction: Direction, state: TransferState): string {
  const id = `${direction}-${state}`;
  stores.add(id, direction);
  stores.database.run('UPDATE transfers SET state = ? WHERE id = ?', state, id);
  return id;
}

describe.each(['send', 'receive'] as const)('of a %s', (direction) => {
  it.each(STATES)('the states that may follow %s are those of the table', (from) => {
    const may = STATES.filter((to) => mayFollow(direction, from, to));
    expect(may).toEqual(STATES.filter((to) => allowed(direction, from, to)));
  });

  it.each(STATES)(
    'every step from %s that is not in the table is refused and changes nothing',
    async (from) => {
      const stores = await testStores();
      const id = put(stores, direction, from);
      const before = [stores.transfers.row(id), stores.events.range()];
      stores.clock.advance(1);
      const illegal = STATES.filter((to) => !allowed(direction, from, to));
      for (const to of illegal)
        expect(() => stores.transfers.transition(id, stepTo(to))).toThrow(failing('ILLEGAL_STATE'));
      expect([stores.transfers.row(id), stores.events.range()]).toEqual(before);
    },
  );

  it.each(STATES)('every step from %s that is in the table is written with its events', async (from) => {
    for (const to of STATES.filter((state) => allowed(direction, from, state))) {
      const stores = await testStores();
      const id = put(stores, direction, from);
      stores.clock.advance(1);
      const row = stores.transfers.transition(id, stepTo(to));
      const now = stores.clock.now();
      expect(row).toMatchObject({
        state: to,
        waiting_reason: to === 'waiting' ? 'relay' : null,
        failure: to === 'failed' ? JSON.stringify(FAILURE) : null,
        updated_at: now,
        finished_at: isFinal(to) ? now : null,
        run: isFinal(from) ? 2 : 1,
      });
      const [, changed, ...more] = stores.events.list({ limit: 10 });
      expect(changed).toMatchObject({ type: 'transfer.state', transferId: id, data: { from, to } });
      const last = { completed: ['transfer.completed'], failed: ['transfer.failed'] }[to as string] ?? [];
      expect(more.map(({ type }) => type)).toEqual(last);
    }
  });
});

describe('a transfer', () => {
  it('keeps neither row nor event of a step whose transaction is undone', async () => {
    const stores = await testStores();
    stores.add('one');
    const before = [stores.transfers.row('one'), stores.events.list({ limit: 10 })];
    const told: string[] = [];
    stores.events.listen(({ type }) => told.push(type));
    expect(() => {
      stores.database.transaction(() => {
        stores.transfers.transition('one', { to: 'failed', failure: FAILURE });
        throw new Error('crash');
      });
    }).toThrow('crash');
    expect([stores.transfers.row('one'), stores.events.list({ limit: 10 })]).toEqual(before);
    expect(told).toEqual([]);
  });

  it('is not there when its details could not be written', async () => {
    const { transfers, events, clock } = await testStores();
    const transfer = {
      id: 'one',
      direction: 'send',
      tokenId: 1,
      priority: 0,
      deadline: clock.now(),
    } as const;
    expect(() => {
      transfers.create(transfer, () => {
        throw new Error('crash');
      });
    }).toThrow('crash');
    expect([transfers.find('one'), events.range().newest]).toEqual([undefined, 0]);
  });

  it('has exactly one end per run, and each retry is a new run', async () => {
    const stores = await testStores();
    stores.add('one');
    for (let run = 1; run <= 3; run++) {
      const done = { uploading: 'uploading', end: run === 3 ? 'completed' : 'failed' } as const;
      stores.transfers.transition('one', { to: done.uploading });
      stores.transfers.transition('one', stepTo(done.end));
      expect(stores.transfers.row('one').run).toBe(run);
      for (const to of ['failed', 'completed', 'cancelled'] as const)
        expect(() => stores.transfers.transition('one', stepTo(to))).toThrow(failing('ILLEGAL_STATE'));
      if (run < 3) stores.transfers.transition('one', { to: 'queued' });
    }
    const types = ['transfer.completed', 'transfer.failed'];
    const ends = stores.events.list({ types, limit: 10 });
    expect(ends.map(({ type, data }) => [type, 'transfer' in data && data.transfer.run])).toEqual([
      ['transfer.failed', 1],
      ['transfer.failed', 2],
      ['transfer.completed', 3],
    ]);
  });

  it('that is hidden changes without events', async () => {
    const { transfers, events, clock } = await testStores();
    const deadline = clock.now();
    transfers.create(
      { id: 'one', direction: 'send', tokenId: 1, priority: 0, deadline, hidden: true },
      () => undefined,
    );
    for (const to of ['uploading', 'failed'] as const) transfers.transition('one', stepTo(to));
    transfers.remove('one');
    expect(events.range().newest).toBe(0);
  });

  it('that is not there is NOT_FOUND, and one that is not over is not removed', async () => {
    const { transfers, add } = await testStores();
    for (const act of [
      () => transfers.row('none'),
      () => transfers.info('none'),
      () => transfers.transition('none', { to: 'queued' }),
      () => {
        transfers.remove('none');
      },
    ])
      expect(act).toThrow(failing('NOT_FOUND'));
    add('one');
    expect(() => {
      transfers.remove('one');
    }).toThrow(failing('ILLEGAL_STATE'));
  });
});

describe('the list of transfers', () => {
  it('comes in pages, newest first, each transfer once', async () => {
    const { transfers, add, clock } = await testStores();
    for (let index = 0; index < 25; index++) {
      add(`t${String(index).padStart(2, '0')}`, index % 2 === 0 ? 'send' : 'receive');
      // Several of the same moment.
      if (index % 3 === 0) clock.advance(1);
    }
    const pageIds = (query: { direction?: Direction; state?: TransferState }): string[][] => {
      const pages: string[][] = [];
      let cursor: string | undefined;
      do {
        const page = transfers.list({ ...query, limit: 7, ...(cursor === undefined ? {} : { cursor }) });
        pages.push(page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return pages;
    };
    const all = Array.from({ length: 25 }, (_, index) => `t${String(24 - index).padStart(2, '0')}`);
    expect(pageIds({}).flat()).toEqual(all);
    expect(pageIds({}).map((page) => page.length)).toEqual([7, 7, 7, 4]);
    expect(pageIds({ direction: 'send' }).flat()).toEqual(all.filter((id) => Number(id.slice(1)) % 2 === 0));
    transfers.transition('t07', { to: 'cancelled' });
    expect(pageIds({ state: 'cancelled' })).toEqual([['t07']]);
    expect(transfers.counts()).toEqual(
      new Map([
        ['queued', 24],
        ['cancelled', 1],
      ]),
    );
    expect(() => transfers.list({ limit: 1, cursor: 'nonsense' })).toThrow(failing('INVALID_ARGUMENT'));
  });
});

describe('the queue of transfers', () => {
  it('is by priority, then by age, without the hidden ones', async () => {
    const { transfers, clock } = await testStores();
    for (const [id, priority, hidden] of [
      ['low', -1, false],
      ['first', 0, false],
      ['second', 0, false],
      ['hidden', 5, true],
      ['high', 3, false],
      ['raised', 0, false],
    ] as const) {
      transfers.create(
        { id, direction: 'send', tokenId: 1, priority, deadline: clock.now(), hidden },
        () => undefined,
      );
      clock.advance(1);
    }
    transfers.update('raised', { priority: 9 });
    const ids = (limit: number): string[] => transfers.queued(limit).map(({ id }) => id);
    expect(ids(10)).toEqual(['raised', 'high', 'first', 'second', 'low']);
    expect(ids(2)).toEqual(['raised', 'high']);
    transfers.transition('high', { to: 'paused' });
    expect(ids(2)).toEqual(['raised', 'first']);
    expect(transfers.queued(10, true).map(({ id }) => id)).toEqual(['hidden']);
    transfers.transition('first', { to: 'preparing' });
    expect(transfers.interrupted().map(({ id }) => id)).toEqual(['first']);
  });
});
