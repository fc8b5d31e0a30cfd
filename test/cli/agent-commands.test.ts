import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { exitCodeOf } from '#src/cli/exit-codes.js';
import { XftpError } from '#src/protocol/index.js';

import {
  addTransfers,
  linesOf,
  type ServedAgent,
  serveFakeAgent,
  succeeded,
} from '../support/agent-program.js';
import { runProgram } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectFailure } from '../support/transfers.js';

const FINGERPRINT = `${'A'.repeat(43)}=`;
const RELAY = `xftp://${FINGERPRINT}@relay.example`;

describe('Without an agent', () => {
  it('commands say how to start one', async () => {
    const dataDir = await temporaryFolder();
    const env = { XFTP_AGENT_DATA_DIR: dataDir, HOME: dataDir };
    const human = await runProgram('xftp-agent', ['status'], { env });
    expectFailure(human, 'AGENT_UNREACHABLE', /^No agent is running .*: start it with `xftp-agent start`\.$/);
    const json = await runProgram('xftp-agent', ['list', '--json'], { env });
    expect(json.exitCode).toBe(exitCodeOf('AGENT_UNREACHABLE'));
    expect(linesOf(json)).toEqual([
      { event: 'error', code: 'AGENT_UNREACHABLE', message: expect.stringContaining('xftp-agent start') },
    ]);
    const named = await runProgram('xftp-agent', ['status', '--url', 'ws://127.0.0.1:1/', '--token', 'x'], {
      env,
    });
    expectFailure(named, 'AGENT_UNREACHABLE', /^No agent answers at ws:\/\/127\.0\.0\.1:1\//);
  });

  it('an address needs a token, and must be one', async () => {
    const env = { HOME: '/tmp', XFTP_AGENT_URL: 'ws://127.0.0.1:1/' };
    expectFailure(
      await runProgram('xftp-agent', ['status'], { env }),
      'INVALID_ARGUMENT',
      /needs a token too/,
    );
    const wrong = { ...env, XFTP_AGENT_URL: 'http://127.0.0.1:1/', XFTP_AGENT_TOKEN: 'x' };
    expectFailure(
      await runProgram('xftp-agent', ['status'], { env: wrong }),
      'INVALID_ARGUMENT',
      /begins with ws:/,
    );
  });
});

describe('The agent is found', () => {
  it('by option, and by address and token of the environment, as far as the token goes', async () => {
    const { agent, url, dataDir } = await serveFakeAgent();
    const env = { HOME: dataDir };
    succeeded(await runProgram('xftp-agent', ['status', '--data-dir', dataDir], { env }));
    const reading = { ...env, XFTP_AGENT_URL: url, XFTP_AGENT_TOKEN: agent.token('read') };
    succeeded(await runProgram('xftp-agent', ['status'], { env: reading }));
    const refused = await runProgram('xftp-agent', ['send', '/srv/file'], { env: reading });
    expectFailure(refused, 'FORBIDDEN', /\.$/);
    const unknown = await runProgram('xftp-agent', ['status'], {
      env: { ...reading, XFTP_AGENT_TOKEN: 'wrong' },
    });
    expectFailure(unknown, 'UNAUTHENTICATED', /\.$/);
    const option = await runProgram('xftp-agent', ['status', '--data-dir', dataDir], {
      env: { ...reading, XFTP_AGENT_TOKEN: 'wrong' },
    });
    succeeded(option);
  });
});

describe('send', () => {
  it('gives the agent all that it was told', async () => {
    const { agent, dataDir, run } = await serveFakeAgent();
    const address = `xftp://${FINGERPRINT}:pass@relay.example`;
    const options = ['-n', '3', '-s', `${RELAY};${address}`, '--name', 'cat.jpg', '--no-snapshot'];
    const more = ['--redirect', 'always', '--priority', '-5', '--deadline', '2d', '--ref', 'mine'];
    const before = Date.now();
    const result = await run(['send', 'photo.jpg', ...options, ...more], { cwd: dataDir });
    expect(succeeded(result)).toMatch(/^Sending .*: t2\n`xftp-agent watch t2` shows how it goes\.\n$/);
    const params = agent.received[0]?.params as { path: string; deadline: number };
    expect(params).toEqual({
      path: join(dataDir, 'photo.jpg'),
      recipients: 3,
      servers: [RELAY, address],
      fileName: 'cat.jpg',
      snapshot: false,
      redirect: 'always',
      priority: -5,
      deadline: expect.any(Number),
      clientRef: 'mine',
    });
    expect(params.deadline - before - 2 * 86_400_000).toBeLessThan(60_000);
  });

  it('leaves to the agent what it was not told', async () => {
    const { agent, run } = await serveFakeAgent();
    expect(linesOf(await run(['send', '/srv/photo.jpg', '--json']))).toMatchObject([
      { event: 'added', id: 't2', direction: 'send', state: 'queued' },
    ]);
    expect(agent.received).toEqual([{ method: 'send', params: { path: '/srv/photo.jpg', snapshot: true } }]);
  });

  it.each<readonly [readonly string[], RegExp]>([
    [['-n', '0'], /Give a whole number from 1 to 10000\.$/],
    [['--priority', '11'], /Give a whole number from -10 to 10\.$/],
    [['--deadline', 'soon'], /A duration is written like 90s/],
    [['--redirect', 'maybe'], /Allowed choices are auto, never, always\.$/],
  ])('refuses %j with one sentence', async (options, sentence) => {
    const result = await runProgram('xftp-agent', ['send', '/srv/file', ...options]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    const [first, ...rest] = result.stderr.trimEnd().split('\n');
    expect(first).toMatch(sentence);
    expect(rest).toEqual(['(xftp-agent send --help tells more)']);
  });

  it('repeats no password of a wrong address', async () => {
    const { run } = await serveFakeAgent();
    const result = await run(['send', '/srv/file', '-s', 'xftp://short:secret@relay.example']);
    expectFailure(result, 'INVALID_ADDRESS', /its fingerprint/);
    expect(result.stderr).not.toContain('secret');
  });
});

describe('receive', () => {
  it('takes a link, or the text of a description file', async () => {
    const { agent, dataDir, run } = await serveFakeAgent();
    await writeFile(join(dataDir, 'rcv1.xftp'), 'party: recipient\n');
    const options = ['--on-conflict', 'fail', '--approve', 'ask', '--ack', '--name', 'a.txt'];
    succeeded(await run(['receive', 'rcv1.xftp', '.', ...options], { cwd: dataDir }));
    succeeded(await run(['receive', 'https://relay.example/file#abc']));
    expect(agent.received.map(({ params }) => params)).toEqual([
      {
        description: 'party: recipient\n',
        directory: dataDir,
        onConflict: 'fail',
        approveRelays: 'ask',
        acknowledge: true,
        fileName: 'a.txt',
      },
      { link: 'https://relay.example/file#abc', acknowledge: false },
    ]);
  });

  it('fails for a file that is not there before it asks the agent', async () => {
    const { agent, run } = await serveFakeAgent();
    expectFailure(await run(['receive', '/nonexistent.xftp']), 'SOURCE_MISSING', /does not exist\.$/);
    expect(agent.received).toEqual([]);
  });
});

describe('list and show', () => {
  it('show transfers as a table and as JSON, newest first', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    const lines = succeeded(await served.run(['list']))
      .trimEnd()
      .split('\n');
    expect(lines[0]).toMatch(/^ID +STATE +DONE +SIZE +FILE +CHANGED$/);
    expect(lines.slice(1).map((line) => line.split(/ +/).slice(0, 3))).toEqual([
      ['t3', '↑', 'queued'],
      ['t2', '↑', 'queued'],
    ]);
    expect(linesOf(await served.run(['list', '--json']))).toMatchObject([
      { event: 'transfer', id: 't3' },
      { event: 'transfer', id: 't2' },
    ]);
    expect(succeeded(await served.run(['list', '--limit', '1']))).toContain('There are more');
    expect(succeeded(await served.run(['show', 't3']))).toMatch(
      /^ID: +t3\nDirection: +send\nState: +queued\n/,
    );
  });

  it('tell when a file expires unless it was revoked, and what is left to do then', async () => {
    const served = await serveFakeAgent();
    const [transfer] = await addTransfers(served, 1);
    const shown = async (more: object): Promise<string> => {
      served.agent.onGet = () => ({ ...transfer!, expiresAt: 2e12, ...more });
      return succeeded(await served.run(['show', transfer!.id]));
    };
    expect(await shown({})).toMatch(/^Expires: +2033-/m);
    const revoked = await shown({ revoked: { at: 1e12, pending: 1 } });
    expect(revoked).toMatch(/^Revoked: +2001-.*, 1 deletion to do$/m);
    expect(revoked).not.toContain('Expires');
  });

  it('go through all pages', async () => {
    const served = await serveFakeAgent();
    const [transfer] = await addTransfers(served, 1);
    served.agent.list = ({ cursor = '0', state, direction }) => {
      expect({ state, direction }).toEqual({ state: 'queued', direction: 'send' });
      const items = [{ ...transfer!, id: `page${cursor}` }];
      return cursor === '3' ? { items } : { items, nextCursor: String(Number(cursor) + 1) };
    };
    const filter = ['--state', 'queued', '--direction', 'send', '--json'];
    const ids = linesOf(await served.run(['list', '--all', ...filter])).map(({ id }) => id);
    expect(ids).toEqual(['page0', 'page1', 'page2', 'page3']);
    expect(linesOf(await served.run(['list', '--limit', '2', ...filter]))).toHaveLength(2);
  });

  it('take the beginning of an ID that no other transfer has', async () => {
    const served = await serveFakeAgent();
    const [transfer] = await addTransfers(served, 1);
    const transfers = ['abc1', 'abc2', 'def3'].map((id) => ({ ...transfer!, id }));
    served.agent.list = () => ({ items: transfers });
    served.agent.onGet = (id) => {
      const found = transfers.find((each) => each.id === id);
      if (found === undefined) throw new XftpError('NOT_FOUND', 'There is no such transfer.');
      return found;
    };
    expect(linesOf(await served.run(['show', 'd', '--json']))).toMatchObject([{ id: 'def3' }]);
    expect(linesOf(await served.run(['show', 'abc2', '--json']))).toMatchObject([{ id: 'abc2' }]);
    expectFailure(
      await served.run(['show', 'ab']),
      'INVALID_ARGUMENT',
      /^The IDs of 2 transfers begin with "ab": write more of it \(abc1, abc2\)\.$/,
    );
    expectFailure(
      await served.run(['show', 'x']),
      'NOT_FOUND',
      /begins with "x": `xftp-agent list` shows them\.$/,
    );
  });

  it('show no control characters of names', async () => {
    const served = await serveFakeAgent();
    const [transfer] = await addTransfers(served, 1);
    served.agent.list = () => ({ items: [{ ...transfer!, fileName: 'a\u001b[2Jb' }] });
    expect(succeeded(await served.run(['list']))).not.toContain('\u001b');
  });
});

describe('Steering', () => {
  it('does one thing with each of several transfers', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    expect(linesOf(await served.run(['pause', 't2', 't3', '--json']))).toMatchObject([
      { event: 'transfer', id: 't2', state: 'paused' },
      { event: 'transfer', id: 't3', state: 'paused' },
    ]);
    succeeded(await served.run(['resume', 't2']));
    succeeded(await served.run(['cancel', 't3']));
    expect(succeeded(await served.run(['retry', 't3']))).toMatch(/^t3 {2}queued/);
    expect(linesOf(await served.run(['priority', 't2', '-5', '--json']))).toMatchObject([{ priority: -5 }]);
    expect(linesOf(await served.run(['limit', 't2', '200KB/s', '--json']))).toMatchObject([
      { limit: 204_800 },
    ]);
    expect((await served.run(['limit', 't2', 'fast'])).stderr).toMatch(/bytes per second, such as 200kb/);
    succeeded(await served.run(['approve', 't2']));
    expect(linesOf(await served.run(['remove', 't2', 't3', '--json']))).toEqual([
      { event: 'removed', id: 't2' },
      { event: 'removed', id: 't3' },
    ]);
  });

  it('goes on after one that is refused, and ends with its code', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    const pause = served.agent.pause.bind(served.agent);
    served.agent.pause = (id) => {
      if (id === 't2') throw new XftpError('ILLEGAL_STATE', 'It is paused already.');
      return pause(id);
    };
    const result = await served.run(['pause', 't2', 't3']);
    expect(result).toMatchObject({
      exitCode: exitCodeOf('ILLEGAL_STATE'),
      stdout: expect.stringMatching(/^t3 {2}paused/),
      stderr: 'It is paused already.\n',
    });
  });

  it('does nothing when one of the IDs is wrong', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 1);
    expectFailure(await served.run(['pause', 't2', 'wrong']), 'NOT_FOUND', /begins with "wrong"/);
    expect(served.agent.get('t2').state).toBe('queued');
  });
});

describe('descriptions, recipients and revoke', () => {
  async function serveSent(): Promise<ServedAgent> {
    const served = await serveFakeAgent();
    await addTransfers(served, 1);
    const recipient = (number: number) => ({
      number,
      description: `recipient ${String(number)}\n`,
      link: `simplex:/file#/?desc=${String(number)}`,
      webLink: `https://relay.example/file#${String(number)}`,
      redirect: false,
      fitsQrCode: number === 1,
    });
    const descriptions = { sender: 'sender\n', recipients: [1, 2].map(recipient), spare: 1 };
    served.agent.descriptions = () => Promise.resolve(descriptions);
    return served;
  }

  it('print links, and QR codes of those that are short enough', async () => {
    const { run } = await serveSent();
    const stdout = succeeded(await run(['descriptions', 't2', '--qr']));
    expect(stdout).toContain('Recipient 1:\n  https://relay.example/file#1\n  simplex:/file#/?desc=1\n');
    expect(stdout).toContain('█');
    expect(stdout).toContain('(The link is too long for a QR code');
    expect(stdout).toContain('(1 more is ready: `xftp-agent recipients t2 1`)');
    // Only the new one.
    expect(linesOf(await run(['recipients', 't2', '1', '--json']))).toMatchObject([
      { event: 'recipient', number: 2, webLink: 'https://relay.example/file#2' },
    ]);
    expect(succeeded(await run(['recipients', 't2', '1']))).not.toContain('Recipient 1');
  });

  it('write files that are readable by their owner alone, again without harm, and over nothing', async () => {
    const { dataDir, run } = await serveSent();
    const out = join(dataDir, 'new/out');
    for (let times = 0; times < 2; times++)
      expect(linesOf(await run(['descriptions', 't2', '--out', out, '--json']))).toEqual([
        {
          event: 'descriptions',
          senderDescription: join(out, 'snd.xftp.private'),
          recipientDescriptions: [join(out, 'rcv1.xftp'), join(out, 'rcv2.xftp')],
        },
      ]);
    expect(await readFile(join(out, 'rcv2.xftp'), 'utf8')).toBe('recipient 2\n');
    for (const name of ['snd.xftp.private', 'rcv1.xftp', 'rcv2.xftp'])
      expect((await stat(join(out, name))).mode & 0o777).toBe(0o600);
    await writeFile(join(out, 'rcv1.xftp'), 'another');
    expectFailure(
      await run(['descriptions', 't2', '--out', out]),
      'FILE_EXISTS',
      /rcv1\.xftp exists already/,
    );
    expect(await readFile(join(out, 'rcv1.xftp'), 'utf8')).toBe('another');
  });

  it('revoke takes a transfer or a description, and not both', async () => {
    const { agent, dataDir, run } = await serveSent();
    const targets: unknown[] = [];
    agent.revoke = (target) => {
      targets.push(target);
      return { deletions: 2 };
    };
    const path = join(dataDir, 'snd.xftp.private');
    await writeFile(path, 'sender\n');
    expect(succeeded(await run(['revoke', 't2']))).toMatch(/^2 chunks will be deleted/);
    expect(linesOf(await run(['revoke', '--description', path, '--json']))).toEqual([
      { event: 'revoked', deletions: 2 },
    ]);
    expect(targets).toEqual([{ id: 't2' }, { senderDescription: 'sender\n' }]);
    for (const args of [['revoke'], ['revoke', 't2', '--description', path]])
      expectFailure(await run(args), 'INVALID_ARGUMENT', /either the ID of a transfer or --description/);
  });
});
