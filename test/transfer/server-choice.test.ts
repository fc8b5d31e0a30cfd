import { describe, expect, it, vi } from 'vitest';

import {
  FAILURE_CODES,
  failureKind,
  parseServerAddress,
  type ServerAddress,
  XftpError,
} from '#src/protocol/index.js';
import { ServerChoice } from '#src/transfer/server-choice.js';
import { failing } from '../crypto/expected-failure.js';
import { deferred } from '../transport/channel-samples.js';

const servers = ['one', 'two', 'three', 'four'].map((host) =>
  parseServerAddress(`xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@${host}.example`),
);

const hostOf = (server: ServerAddress): string => server.hosts[0].text;
const unavailable = new XftpError('CONNECT_FAILED', 'Cannot connect.');

describe('the choice of relays for several replicas', () => {
  it('falls on each of them once, and no further', async () => {
    const choice = new ServerChoice(servers, undefined, 2);
    const taken = new Set<ServerAddress>();
    const chosen = await Promise.all(
      servers.map(() => choice.withServer((server) => Promise.resolve(hostOf(server)), taken)),
    );
    expect(new Set(chosen).size).toBe(4);
    await expect(choice.withServer(() => Promise.resolve(), taken)).rejects.toThrow(
      failing('CONNECT_FAILED'),
    );
  });

  it('needs as many as there must be, an address that is named twice counted once', () => {
    const [one, two] = [servers[0]!, servers[1]!];
    expect(() => new ServerChoice([one, two, one], undefined, 3)).toThrow(failing('INVALID_ARGUMENT'));
  });

  it('warns of one that fails only where the others suffice', async () => {
    const warnings: string[] = [];
    const choice = new ServerChoice(servers, (message) => warnings.push(message), 3);
    await expect(choice.withServer(() => Promise.reject(unavailable))).rejects.toBe(unavailable);
    expect(warnings).toHaveLength(1);
  });
});

describe('the choice of a relay', () => {
  it('needs at least one', () => {
    expect(() => new ServerChoice([])).toThrow(failing('INVALID_ARGUMENT'));
  });

  it('falls on each of them sooner or later', async () => {
    const choice = new ServerChoice(servers);
    const chosen = new Set<string>();
    // Missing one of four in 200 goes happens once in 10^24 runs.
    for (let go = 0; go < 200; go++)
      chosen.add(await choice.withServer((server) => Promise.resolve(hostOf(server))));
    expect(chosen.size).toBe(4);
  });

  it('for the first chunk is known before it comes, and is drawn anew for the second', async () => {
    const second = new Set<string>();
    // As above: one of four is not missed in 200 goes.
    for (let go = 0; go < 200; go++) {
      const choice = new ServerChoice(servers);
      const { first } = choice;
      expect(await choice.withServer((server) => Promise.resolve(server))).toBe(first);
      second.add(await choice.withServer((server) => Promise.resolve(hostOf(server))));
    }
    expect(second.size).toBe(4);
  });

  it('goes on to others when one fails, each once, and never comes back to it', async () => {
    const warnings: string[] = [];
    const choice = new ServerChoice(servers, (message) => warnings.push(message));
    const tried: string[] = [];
    const good = await choice.withServer((server) => {
      tried.push(hostOf(server));
      return tried.length < 4 ? Promise.reject(unavailable) : Promise.resolve(hostOf(server));
    });
    expect(new Set(tried).size).toBe(4);
    expect(warnings).toHaveLength(3);
    for (let go = 0; go < 50; go++)
      expect(await choice.withServer((server) => Promise.resolve(hostOf(server)))).toBe(good);
  });

  it('fails with the failure of the last one, and without a warning for it', async () => {
    const warnings: string[] = [];
    const choice = new ServerChoice(servers, (message) => warnings.push(message));
    let tries = 0;
    const outcome = choice.withServer(() =>
      Promise.reject(new XftpError('RELAY_FULL', `The relay is full (${String(++tries)}).`)),
    );
    await expect(outcome).rejects.toThrow('The relay is full (4).');
    expect(warnings).toHaveLength(3);
    await expect(choice.withServer(() => Promise.resolve())).rejects.toThrow('The relay is full (4).');
  });

  it.each(FAILURE_CODES)("tries another after %s only if it is the relay's failure", async (code) => {
    const failure = new XftpError(code, 'It failed.');
    const work = vi.fn(() => Promise.reject(failure));
    await expect(new ServerChoice(servers).withServer(work)).rejects.toBe(failure);
    const mayDiffer = ['temporary', 'identity', 'refused', 'gone', 'corrupt'].includes(failureKind(code));
    expect(work).toHaveBeenCalledTimes(mayDiffer ? 4 : 1);
  });

  it('stops at an error that is none of the project', async () => {
    const bug = new TypeError('bug');
    await expect(new ServerChoice(servers).withServer(() => Promise.reject(bug))).rejects.toBe(bug);
  });

  it('warns once of a relay that fails several chunks at the same time', async () => {
    const warnings: string[] = [];
    const [bad, good] = [servers[0]!, servers[1]!];
    const choice = new ServerChoice([bad, good], (message) => warnings.push(message));
    const failure = deferred<never>();
    const outcomes = Array.from({ length: 30 }, () =>
      choice.withServer((server) => (server === bad ? failure.promise : Promise.resolve(hostOf(server)))),
    );
    failure.reject(unavailable);
    expect(new Set(await Promise.all(outcomes))).toStrictEqual(new Set([hostOf(good)]));
    expect(warnings).toHaveLength(1);
  });

  it('takes an address that is named twice for one relay', async () => {
    const work = vi.fn(() => Promise.reject(unavailable));
    await expect(new ServerChoice([servers[0]!, servers[0]!]).withServer(work)).rejects.toBe(unavailable);
    expect(work).toHaveBeenCalledTimes(1);
  });
});
