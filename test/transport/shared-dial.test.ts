import { describe, expect, it, vi } from 'vitest';

import { SharedDial } from '#src/transport/shared-dial.js';
import { failing } from '../crypto/expected-failure.js';
import { deferred } from './channel-samples.js';
import { settle } from './session-stubs.js';

/** A dial that the test ends, or that its signal ends. */
function dialling(): {
  dial: SharedDial<string>;
  end: (value: string) => void;
  fail: (error: Error) => void;
} {
  const { promise, resolve, reject } = deferred<string>();
  const dial = new SharedDial((signal) => {
    signal.addEventListener('abort', () => {
      reject(new Error('stopped'));
    });
    return promise;
  });
  return { dial, end: resolve, fail: reject };
}

describe('a shared dial', () => {
  it('gives all who joined the same outcome, also those who join after its end', async () => {
    const { dial, end } = dialling();
    const joined = [dial.join(), dial.join(new AbortController().signal)];
    end('session');
    expect(await Promise.all(joined)).toStrictEqual(['session', 'session']);
    expect(await dial.join()).toBe('session');
    expect(await dial.outcome).toBe('session');
    expect(dial.stopped).toBe(false);
  });

  it('gives all who joined the same failure', async () => {
    const { dial, fail } = dialling();
    const outcomes = [dial.join(), dial.join()].map((joined) => expect(joined).rejects.toThrow('refused'));
    fail(new Error('refused'));
    await Promise.all(outcomes);
    await expect(dial.join()).rejects.toThrow('refused');
  });

  it('fails unseen when nobody has joined', async () => {
    const { fail, dial } = dialling();
    fail(new Error('refused'));
    await settle();
    await expect(dial.outcome).rejects.toThrow('refused');
  });

  it('goes on when one of those who joined aborts', async () => {
    const { dial, end } = dialling();
    const abort = new AbortController();
    const leaving = dial.join(abort.signal);
    const staying = dial.join();
    abort.abort();
    await expect(leaving).rejects.toThrow(failing('CANCELLED'));
    expect(dial.stopped).toBe(false);
    end('session');
    expect(await staying).toBe('session');
  });

  it('is stopped when the last of those who joined aborts', async () => {
    const { dial } = dialling();
    const aborts = [new AbortController(), new AbortController()];
    const outcomes = aborts.map(({ signal }) =>
      expect(dial.join(signal)).rejects.toThrow(failing('CANCELLED')),
    );
    aborts[0]?.abort();
    await settle();
    expect(dial.stopped).toBe(false);
    aborts[1]?.abort();
    await Promise.all(outcomes);
    expect(dial.stopped).toBe(true);
    await expect(dial.outcome).rejects.toThrow('stopped');
  });

  it('is stopped when the only one who joins has aborted already', async () => {
    const { dial } = dialling();
    await expect(dial.join(AbortSignal.abort())).rejects.toThrow(failing('CANCELLED'));
    expect(dial.stopped).toBe(true);
  });

  it('is not stopped after its end', async () => {
    const { dial, end } = dialling();
    end('session');
    await dial.outcome;
    dial.stop();
    expect(dial.stopped).toBe(false);
    expect(await dial.join(AbortSignal.abort())).toBe('session');
  });

  it('lets go of the signals of those who joined', async () => {
    const { dial, end } = dialling();
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const joined = dial.join(signal);
    end('session');
    await joined;
    await settle();
    expect(remove).toHaveBeenCalledTimes(1);
  });
});
