import { beforeEach, describe, expect, it } from 'vitest';

import { ServerGates } from '#src/agent/server-gates.js';
import { ServerPick } from '#src/agent/server-pick.js';
import { serverKey, ServerStore } from '#src/agent/server-store.js';
import { parseServerAddress, XftpError } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { fakeClock, testDatabase } from './agent-samples.js';

const [one, two] = ['one', 'two'].map((host) =>
  parseServerAddress(`xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@${host}.example`),
);

let store: ServerStore;

beforeEach(async () => {
  store = new ServerStore(await testDatabase(), fakeClock());
});

function pickFor(copies: number): ServerPick {
  const gates = new ServerGates(fakeClock(), () => undefined);
  return new ServerPick({ listed: () => store.forUpload(), copies }, gates, store);
}

describe('servers for the chunks of a file', () => {
  it('are those of the list as it is now', () => {
    store.ensure(one!);
    const pick = pickFor(1);
    expect(serverKey(pick.next())).toBe(serverKey(one!));
    store.ensure(two!);
    expect(serverKey(pick.next(new Set([serverKey(one!)])))).toBe(serverKey(two!));
    store.remove(1);
    expect(pick.find(serverKey(one!))).toBeUndefined();
  });

  it('stay while the list has too few of them for the copies of the file', () => {
    store.ensure(one!);
    store.ensure(two!);
    const pick = pickFor(2);
    expect(pick.hasFree(new Set([serverKey(one!)]))).toBe(true);
    store.update(2, { enabled: false });
    expect(pick.hasFree(new Set([serverKey(one!)]))).toBe(true);
  });

  it('may be asked again after they refused when the list has changed', () => {
    store.ensure(one!);
    const pick = pickFor(1);
    const refusal = new XftpError('RELAY_REFUSED', 'The password is wrong.');
    expect([pick.exclude(one!, refusal), pick.exclude(one!, refusal)]).toEqual([true, false]);
    expect(() => pick.next()).toThrow(failing('RELAY_REFUSED'));
    store.update(1, { password: 'right' });
    expect(pick.next().password).toBe('right');
  });
});
