import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { checkPrivate } from '#src/cli/doctor-checks.js';
import { exitCodeOf } from '#src/cli/exit-codes.js';

import { addTransfers, linesOf, serveFakeAgent, succeeded } from '../support/agent-program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectFailure } from '../support/transfers.js';

const FINGERPRINT = `${'A'.repeat(43)}=`;
const RELAY = `xftp://${FINGERPRINT}@relay.example`;

describe('servers, settings and tokens', () => {
  it('servers are added, named by number, address or a part of it, tested and removed', async () => {
    const { agent, run } = await serveFakeAgent();
    const other = `xftp://${FINGERPRINT}@other.example`;
    succeeded(await run(['servers', 'add', RELAY, '--operator', 'me']));
    succeeded(await run(['servers', 'add', other, '--disabled']));
    const [first, second] = agent.listServers();
    expect(first).toMatchObject({ address: RELAY, operator: 'me', enabled: true });
    expect(succeeded(await run(['servers', 'list']))).toMatch(
      /^NO +STATE +PRIORITY +OPERATOR +ADDRESS\n.*enabled +0 +me +xftp:/,
    );
    succeeded(await run(['servers', 'update', 'relay', '--role', 'upload', '--priority', '-2']));
    expect(agent.listServers()[0]).toMatchObject({ roles: ['upload'], priority: -2 });
    expect(succeeded(await run(['servers', 'list']))).toMatch(/uploads only +-2 +me /);
    expectFailure(await run(['servers', 'update', 'relay']), 'INVALID_ARGUMENT', /nothing would change/);
    succeeded(await run(['servers', 'enable', 'other']));
    succeeded(await run(['servers', 'disable', String(first?.id)]));
    expect(agent.listServers().map(({ enabled }) => enabled)).toEqual([false, true]);
    expectFailure(await run(['servers', 'enable', 'example']), 'INVALID_ARGUMENT', /Several servers/);
    expectFailure(await run(['servers', 'enable', 'nowhere']), 'NOT_FOUND', /not in the list/);
    expect(linesOf(await run(['servers', 'test', '--json']))).toMatchObject([
      { event: 'serverTest', address: other, ok: true },
    ]);
    succeeded(await run(['servers', 'remove', `xftp://${FINGERPRINT}:secret@other.example`]));
    expect(agent.listServers().map(({ id }) => id)).not.toContain(second?.id);
    expect(linesOf(await run(['servers', 'add', '--preset', 'simplex', '--json']))).toHaveLength(6);
    expectFailure(
      await run(['servers', 'add']),
      'INVALID_ARGUMENT',
      /either the address of a relay or --preset/,
    );
  });

  it('digits name a server by its number only, and a part of a fingerprint names none', async () => {
    const { agent, run } = await serveFakeAgent();
    const address = `xftp://${'8bcd'.repeat(10)}888=@relay7.example:5223`;
    const { id } = agent.addServer({ address });
    const wrong = [
      ...['8', '7', '8bcd', '888=@relay7', ''].map((which) => ['remove', which]),
      ...['disable', 'test'].map((command) => [command, '8']),
      ['update', '8', '--priority', '1'],
    ];
    for (const result of await Promise.all(wrong.map((args) => run(['servers', ...args]))))
      expectFailure(result, 'NOT_FOUND', /not in the list/);
    expect(agent.listServers()).toMatchObject([{ address, enabled: true, priority: 0 }]);
    succeeded(await run(['servers', 'disable', 'relay7.example:52']));
    succeeded(await run(['servers', 'remove', String(id)]));
    expect(agent.listServers()).toEqual([]);
  });

  it('a server test that fails tells the step and fails', async () => {
    const { agent, run } = await serveFakeAgent();
    const failure = {
      code: 'CONNECT_FAILED',
      kind: 'temporary',
      temporary: true,
      message: 'Nobody answers.',
    } as const;
    agent.testServer = (address) => {
      const steps = [
        { step: 'name', ok: true, ms: 3 },
        { step: 'tcp', ok: false, ms: 1500, failure: { ...failure, hint: 'Check the port.' } },
      ] as const;
      return Promise.resolve({ address, ok: false, steps });
    };
    const result = await run(['servers', 'test', RELAY]);
    expect(result.exitCode).toBe(exitCodeOf('CONNECT_FAILED'));
    expect(result.stdout).toContain(
      '  ok    name (3 ms)\n  FAIL  tcp (2 s): Nobody answers. Check the port.\n',
    );
  });

  it('settings are listed, read and changed', async () => {
    const { agent, run } = await serveFakeAgent();
    expect(succeeded(await run(['settings', 'list']))).toMatch(/\nuploadLimit +none +bytes per second/);
    expect(succeeded(await run(['settings', 'set', 'uploadLimit', '2MB']))).toBe('uploadLimit is 2mb.\n');
    succeeded(await run(['settings', 'set', 'approveRelays', 'known']));
    succeeded(await run(['settings', 'set', 'transferDays', '7']));
    expect(agent.getSettings()).toMatchObject({
      uploadLimit: 2 ** 21,
      approveRelays: 'known',
      transferDays: 7,
    });
    expect(linesOf(await run(['settings', 'get', 'transferDays', '--json']))).toEqual([
      { event: 'setting', name: 'transferDays', value: 7 },
    ]);
    succeeded(await run(['settings', 'set', 'transferDays', 'none']));
    expect(succeeded(await run(['settings', 'get', 'transferDays']))).toBe('none\n');
    for (const [name, value] of [
      ['chunksTotal', 'many'],
      ['approveRelays', 'some'],
      ['maxFileSize', 'none'],
    ] as const)
      expectFailure(
        await run(['settings', 'set', name, value]),
        'INVALID_ARGUMENT',
        new RegExp(`^${name} cannot be set`),
      );
  });

  it('tokens are made, listed without their secrets, and revoked', async () => {
    const { agent, dataDir, run } = await serveFakeAgent();
    await mkdir(join(dataDir, 'in'));
    const create = ['token', 'create', 'backup', '--scope', 'submit', '--folder', 'in', '--folder', '/srv'];
    const secret = succeeded(await run(create, { cwd: dataDir })).trim();
    const token = agent.authenticate(secret);
    expect(token).toMatchObject({ name: 'backup', scope: 'submit', folders: [join(dataDir, 'in'), '/srv'] });
    const listed = succeeded(await run(['token', 'list']));
    expect(listed).toMatch(/backup +submit +\/.*\/in, \/srv/);
    expect(listed).not.toContain(secret);
    succeeded(await run(['token', 'revoke', String(token?.id)]));
    expect(agent.authenticate(secret)).toBeUndefined();
  });
});

describe('The agent as a whole', () => {
  it('is shown by status and stats', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    const stdout = succeeded(await served.run(['status']));
    expect(stdout).toMatch(/^Version: +0\.0\.0\n/);
    expect(stdout).toMatch(/\nTransfers: +2 queued\n/);
    expect(linesOf(await served.run(['status', '--json']))).toMatchObject([
      { event: 'status', dataDir: '/data' },
    ]);
    expect(succeeded(await served.run(['stats']))).toMatch(/upload +3 +2 +128\.0 KiB +10 ms\n/);
  });

  it('is told to stop', async () => {
    const { agent, url, run } = await serveFakeAgent();
    let stopped = false;
    agent.onShutdown = () => {
      stopped = true;
    };
    const env = { XFTP_AGENT_URL: url, XFTP_AGENT_TOKEN: agent.token('admin'), XFTP_AGENT_DATA_DIR: '' };
    expect(succeeded(await run(['stop'], { env }))).toBe('The agent has stopped.\n');
    expect(stopped).toBe(true);
  });

  it('is examined by the doctor', async () => {
    const { agent, dataDir, run } = await serveFakeAgent();
    agent.addServer({ address: RELAY });
    const before = agent.info();
    agent.info = () => ({ ...before, downloadsDir: dataDir });
    expect(await run(['doctor'])).toMatchObject({ exitCode: 0, stderr: '' });
    // The agent makes it with the first file.
    agent.info = () => ({ ...before, downloadsDir: join(dataDir, 'new', 'downloads') });
    const healthy = await run(['doctor']);
    expect(healthy).toMatchObject({ exitCode: 0, stderr: '' });
    for (const line of [
      /^ok {4}data folder: .* is yours alone\.$/m,
      /^ok {4}token: /m,
      /^ok {4}agent: version 0\.0\.0 is running/m,
      /^ok {4}database: /m,
      /^ok {4}downloads: files can be saved in .*\/new\/downloads, which will be made with the first of them\.$/m,
      /^ok {4}clock: /m,
      /^ok {4}server xftp:.*@relay\.example: it takes and gives chunks/m,
    ])
      expect(healthy.stdout).toMatch(line);

    await writeFile(join(dataDir, 'agent.db'), '', { mode: 0o644 });
    agent.info = () => ({ ...before, downloadsDir: join(dataDir, 'agent.db', 'downloads') });
    const failure = { code: 'TLS_FAILED', kind: 'temporary', temporary: true, message: 'No TLS.' } as const;
    agent.testServer = (address) =>
      Promise.resolve({ address, ok: false, steps: [{ step: 'tls', ok: false, ms: 1, failure }] });
    const ill = await run(['doctor', '--json']);
    expect(ill.exitCode).toBe(1);
    expect(linesOf(ill).filter(({ status }) => status === 'fail')).toMatchObject([
      { event: 'check', name: 'data file', hint: `chmod 600 ${join(dataDir, 'agent.db')}` },
      {
        event: 'check',
        name: 'downloads',
        hint: 'Choose another folder: `xftp-agent start --downloads DIR`.',
      },
      { event: 'check', name: `server ${RELAY}`, message: 'step tls failed: No TLS.' },
    ]);
  });

  it('whose folder belongs to another user is told from one that others may look into', async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o700);
    const user = vi.spyOn(process, 'getuid');
    onTestFinished(() => {
      user.mockRestore();
    });
    for (const [uid, message] of [
      [0, `${folder} is yours alone.`],
      [(await stat(folder)).uid, `${folder} is yours alone.`],
      [4_000_000, `${folder} belongs to another user.`],
    ] as const) {
      user.mockReturnValue(uid);
      expect((await checkPrivate(folder))[0]?.message).toBe(message);
    }
  });

  it('is missed by the doctor when it does not run', async () => {
    const { stop, run } = await serveFakeAgent();
    await stop();
    const result = await run(['doctor']);
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toMatch(/^fail {2}agent: .*start it with `xftp-agent start`\.$/m);
  });
});
