import { beforeEach, describe, expect, it, vi } from 'vitest';

import { consequenceOf } from '#src/agent/failure-policy.js';
import { NetworkMonitor } from '#src/agent/network-monitor.js';
import { type Ask, RelayAccess } from '#src/agent/relay-access.js';
import { ServerGates } from '#src/agent/server-gates.js';
import { serverKey, ServerStore } from '#src/agent/server-store.js';
import { StepPauses } from '#src/agent/step-pauses.js';
import { WorkQueue } from '#src/agent/work-queue.js';
import { RelayClient } from '#src/client/index.js';
import { FAILURE_CODES, failureKind, parseServerAddress, XftpError } from '#src/protocol/index.js';
import { SessionPool } from '#src/transport/index.js';
import { failing } from '../crypto/expected-failure.js';
import { deferred } from '../transport/channel-samples.js';
import { type FakeClock, fakeClock, testDatabase } from './agent-samples.js';

const server = parseServerAddress('xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@one.example');
const key = serverKey(server);
const never = new AbortController().signal;

/** Says whether the server answers to a probe; nothing else is asked through it here. */
class ProbedClient extends RelayClient {
  override isolated(): RelayClient {
    return this;
  }

  override reach(): Promise<void> {
    pings += 1;
    return probe();
  }
}

let pings: number;
let probe: () => Promise<void>;
let clock: FakeClock;
let gates: ServerGates;
let steps: StepPauses;
let servers: ServerStore;
let queue: WorkQueue;
let network: NetworkMonitor;
let relays: RelayAccess;

beforeEach(async () => {
  pings = 0;
  probe = () => Promise.resolve();
  clock = fakeClock();
  gates = new ServerGates(clock, () => undefined);
  steps = new StepPauses(clock);
  servers = new ServerStore(await testDatabase(), clock);
  queue = new WorkQueue({ perServer: 1, total: 1 }, clock);
  network = new NetworkMonitor(
    {
      onForced: () => undefined,
      onAddresses: () => undefined,
      onChange: () => undefined,
    },
    () => Promise.resolve(true),
  );
  const sessions = new SessionPool({
    open: () => Promise.reject(new Error('Nothing is dialled here.')),
    sessionsPerServer: 1,
    idleMs: 1,
  });
  relays = new RelayAccess({
    client: new ProbedClient(sessions),
    gates,
    steps,
    queue,
    servers,
    network,
    clock,
    isolation: () => 'server',
  });
  return () => {
    gates.close();
    sessions.close();
  };
});

function ask<T>(request: () => Promise<T>, more: Partial<Ask> = {}): Promise<T> {
  return relays.ask(
    { server, action: 'upload', bytes: 100, turn: { owner: 'test', priority: 0 }, signal: never, ...more },
    request,
  );
}

/** What a failure of each consequence does: to the gate, and to the counts. */
const TABLE = {
  retry: { closes: true, counted: true },
  'other-server': { closes: false, counted: true },
  distrust: { closes: false, counted: true },
  'other-replica': { closes: false, counted: true },
  again: { closes: false, counted: true },
  'wait-for-disk': { closes: false, counted: false },
  'wait-for-database': { closes: false, counted: false },
  fail: { closes: false, counted: false },
  stop: { closes: false, counted: false },
} as const;

describe('asking a relay', () => {
  it.each(FAILURE_CODES)(
    'that ends in %s does to gate and counts what its consequence says',
    async (code) => {
      const failure = new XftpError(code, 'It failed.');
      await expect(ask(() => Promise.reject(failure))).rejects.toBe(failure);
      const { closes, counted } = TABLE[consequenceOf(failure)];
      expect(gates.isOpen(key)).toBe(!closes);
      expect(servers.stats()).toEqual(
        counted
          ? [
              {
                address: key,
                actions: [{ action: 'upload', attempts: 1, successes: 0, bytes: 0, meanMs: 0 }],
                failures: [{ kind: failureKind(code), count: 1, lastAt: clock.now() }],
              },
            ]
          : [],
      );
    },
  );

  it.each(FAILURE_CODES)(
    'opens a closed gate when the relay answers, unless %s closes it again',
    async (code) => {
      (await gates.pass(key, never)).failed();
      clock.advance(1000);
      const failure = new XftpError(code, 'It failed.');
      await expect(ask(() => Promise.reject(failure))).rejects.toBe(failure);
      expect(pings).toBe(1);
      expect(gates.isOpen(key)).toBe(consequenceOf(failure) !== 'retry');
      // However it ended, the next one is not kept waiting by it.
      expect(gates.status(key).gate).not.toBe('probing');
    },
  );

  it('counts a success with its bytes and its time, and opens the gate', async () => {
    (await gates.pass(key, never)).failed();
    clock.advance(1000);
    const request = (): Promise<string> => {
      clock.advance(25);
      return Promise.resolve('done');
    };
    expect(await ask(request)).toBe('done');
    expect(await ask(() => Promise.resolve('again'))).toBe('again');
    expect(gates.isOpen(key)).toBe(true);
    expect(servers.stats()).toEqual([
      {
        address: key,
        actions: [{ action: 'upload', attempts: 2, successes: 2, bytes: 200, meanMs: 12.5 }],
        failures: [],
      },
    ]);
  });

  it('does not blame the relay for an error of ours, nor for a caller who stopped', async () => {
    const bug = new TypeError('bug');
    await expect(ask(() => Promise.reject(bug))).rejects.toBe(bug);
    const controller = new AbortController();
    const stopped = ask(
      () => {
        controller.abort();
        return Promise.reject(new XftpError('CONNECTION_LOST', 'The connection is lost.'));
      },
      { signal: controller.signal },
    );
    await expect(stopped).rejects.toThrow(failing('CANCELLED'));
    expect([gates.isOpen(key), servers.stats()]).toEqual([true, []]);
  });

  it('leaves the way to the next one when nobody can be told that it waits', async () => {
    (await gates.pass(key, never)).failed();
    clock.advance(1000);
    const broken = new Error('The database cannot be read.');
    const onBlocked = (): never => {
      throw broken;
    };
    await expect(ask(() => Promise.resolve('done'), { onBlocked })).rejects.toBe(broken);
    expect(gates.status(key).gate).toBe('closed');
    expect(await ask(() => Promise.resolve('done'))).toBe('done');
  });

  it('tells that there is no network from what the system says, and that there is one from an answer', async () => {
    const noRoute = Object.assign(new Error('no route'), { code: 'ENETUNREACH' });
    const lost = new XftpError('CONNECT_FAILED', 'Cannot connect.', { cause: noRoute });
    await expect(ask(() => Promise.reject(lost))).rejects.toBe(lost);
    expect(network.info.online).toBe(false);
    clock.advance(1000);
    const full = new XftpError('RELAY_FULL', 'The relay is full.');
    await expect(ask(() => Promise.reject(full))).rejects.toBe(full);
    expect(network.info.online).toBe(true);
  });
});

describe('a step that fails on a relay that answers', () => {
  it('is tried again after a pause of its own, while other steps go on', async () => {
    const failed = vi.spyOn(steps, 'failed');
    const full = new XftpError('RELAY_TEMPORARY', 'Its disk is full.', { wire: 'FILE_IO' });
    await expect(ask(() => Promise.reject(full), { chunk: 1 })).rejects.toBe(full);
    expect(failed).toHaveBeenCalledTimes(1);
    gates.retryAll();
    const onBlocked = vi.fn(() => () => undefined);
    const again = ask(() => Promise.resolve('again'), { chunk: 1, onBlocked });
    expect(onBlocked).toHaveBeenCalledExactlyOnceWith(full);
    expect(await ask(() => Promise.resolve('other'), { chunk: 2 })).toBe('other');
    relays.retryAll();
    expect(await again).toBe('again');
  });

  it.each([
    [
      'its owner is',
      () => {
        relays.retryOwner('test');
      },
    ],
    [
      'its server is',
      () => {
        relays.retryServer(server);
      },
    ],
  ])('is tried at once when %s to be tried again', async (_, retry) => {
    const full = new XftpError('RELAY_TEMPORARY', 'Its disk is full.', { wire: 'FILE_IO' });
    await expect(ask(() => Promise.reject(full))).rejects.toBe(full);
    gates.retryAll();
    const again = ask(() => Promise.resolve('again'));
    retry();
    expect(await again).toBe('again');
  });

  it('is not one that could not reach it', async () => {
    const failed = vi.spyOn(steps, 'failed');
    const failure = new XftpError('CONNECT_FAILED', 'Cannot connect.');
    await expect(ask(() => Promise.reject(failure), { chunk: 1 })).rejects.toBe(failure);
    expect(failed).not.toHaveBeenCalled();
  });
});

describe('a probe', () => {
  it('that fails keeps the job from running and the gate closed, and the wait goes on', async () => {
    (await gates.pass(key, never)).failed();
    const goOn = vi.fn();
    const request = vi.fn(() => Promise.resolve('done'));
    const failure = new XftpError('CONNECT_FAILED', 'Cannot connect.');
    probe = () => {
      expect(goOn).not.toHaveBeenCalled();
      return Promise.reject(failure);
    };
    const failed = expect(ask(request, { onBlocked: () => goOn })).rejects.toBe(failure);
    gates.retryAll();
    await failed;
    expect(request).not.toHaveBeenCalled();
    expect(goOn).toHaveBeenCalled();
    expect(gates.status(key)).toMatchObject({ gate: 'closed', failures: 2 });
  });

  it('is not made when the gate is open', async () => {
    await ask(() => Promise.resolve());
    expect(pings).toBe(0);
  });
});

describe('a job that waits', () => {
  it('for its turn does not run when the gate closes meanwhile, but after it opens again', async () => {
    const first = deferred<never>();
    const failed = expect(ask(() => first.promise)).rejects.toThrow(failing('STALLED'));
    const request = vi.fn(() => Promise.resolve('done'));
    const onBlocked = vi.fn(() => () => undefined);
    const second = ask(request, { onBlocked });
    await vi.waitFor(() => {
      expect(queue.size).toBe(2);
    });
    first.reject(new XftpError('STALLED', 'Nothing moves.'));
    await failed;
    await vi.waitFor(() => {
      expect(onBlocked).toHaveBeenCalledTimes(1);
    });
    expect(request).not.toHaveBeenCalled();
    expect(queue.size).toBe(0);
    gates.retryAll();
    expect(await second).toBe('done');
    expect(request).toHaveBeenCalledTimes(1);
  });

  it('for its turn and finds the gate closed has not been on the way that broke: the next break is its own', async () => {
    const cuts: boolean[] = [];
    const moved = deferred();
    const breaks = (_client: RelayClient, moving: (bytes: number) => void): Promise<never> => {
      moving(50);
      return moved.promise.then(() => {
        throw new XftpError('CONNECTION_LOST', 'The connection broke.');
      });
    };
    const chunk = { server, action: 'upload', bytes: 100, turn: { owner: 'test', priority: 0 } } as const;
    const onCut: Ask['onCut'] = ({ alone }) => cuts.push(alone);
    const failed = [1, 2, 3].map(() =>
      expect(relays.ask({ ...chunk, signal: never, onCut }, breaks)).rejects.toThrow(
        failing('CONNECTION_LOST'),
      ),
    );
    await vi.waitFor(() => {
      expect(queue.size).toBe(3);
    });
    moved.resolve();
    for (const each of failed) {
      await each;
      await vi.waitFor(() => {
        expect(queue.size).toBe(0);
      });
      gates.retryAll();
    }
    expect(cuts).toEqual([true, true, true]);
  });

  it('at a gate tells once that it waits, and that it goes on', async () => {
    (await gates.pass(key, never)).failed();
    const goOn = vi.fn();
    const onBlocked = vi.fn(() => goOn);
    const done = ask(() => Promise.resolve('done'), { onBlocked });
    await vi.waitFor(() => {
      expect(onBlocked).toHaveBeenCalledTimes(1);
    });
    expect(goOn).not.toHaveBeenCalled();
    gates.retryAll();
    await done;
    expect(onBlocked).toHaveBeenCalledTimes(1);
    expect(goOn).toHaveBeenCalled();
  });

  it('and is stopped ends without asking, at the gate or in the queue, and leaves the gate to others', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const request = vi.fn(() => Promise.resolve());
    const first = deferred();
    const running = ask(() => first.promise);
    const queued = expect(ask(request, { signal })).rejects.toThrow(failing('CANCELLED'));
    await vi.waitFor(() => {
      expect(queue.size).toBe(2);
    });
    controller.abort();
    first.resolve();
    await running;
    await queued;

    (await gates.pass(key, never)).failed();
    const other = new AbortController();
    const waiting = expect(ask(request, { signal: other.signal })).rejects.toThrow(failing('CANCELLED'));
    other.abort();
    await waiting;
    expect(request).not.toHaveBeenCalled();
    gates.retryAll();
    await ask(request);
  });
});
