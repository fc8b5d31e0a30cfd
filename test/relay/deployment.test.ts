import { mkdir, readFile, symlink } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';

import { describe, expect, it } from 'vitest';

import { formatMetrics } from '#src/relay/statistics/metrics-text.js';
import { RelayStatistics } from '#src/relay/statistics/statistics.js';
import { processUse } from '#src/relay/process-use.js';

import { startCommand } from '../support/program.js';
import { serverVariables } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';

describe('the dashboard', () => {
  it('shows metrics that there are', async () => {
    const text = formatMetrics({
      statistics: new RelayStatistics(0).snapshot,
      stored: { count: 0, bytes: 0 },
      usedBytes: 0,
      quotaBytes: 1,
      newFiles: true,
      use: processUse(),
      workers: 0,
      clients: 0,
      startedAt: 0,
      problems: 0,
      version: '1',
      rtsOptions: '',
    });
    const there = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const dashboard = JSON.parse(await readFile('docs/grafana-dashboard.json', 'utf8')) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    const shown = dashboard.panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => expr.match(/\b(?:simplex_xftp|xftp_relay)_\w+/g) ?? []),
    );
    expect(shown.length).toBeGreaterThan(10);
    for (const name of shown) expect(there).toContain(name);
  });
});

describe('the entry point of the container', () => {
  it('makes the relay at the first start, starts it, and is the program when it is given arguments', async () => {
    const home = await temporaryFolder();
    const programs = join(home, 'bin');
    await mkdir(programs);
    await symlink(resolve('dist/bin/xftp-server.js'), join(programs, 'xftp-server'));
    const run = (args: readonly string[], env: Readonly<Record<string, string>>) =>
      startCommand(['scripts/relay-entrypoint.sh', ...args], {
        env: {
          ...serverVariables(home),
          PATH: [programs, process.env.PATH].join(delimiter),
          XFTP_FILES_PATH: join(home, 'srv'),
          XFTP_TRANSPORT_PORT: '0',
          ...env,
        },
      });
    const lost = await run([], { ADDR: 'relay.example' }).ended;
    expect([lost.exitCode === 0, lost.stderr]).toEqual([
      false,
      expect.stringContaining('QUOTA: must be the room for its chunks, such as 100gb'),
    ]);
    const first = run([], { ADDR: 'relay.example', QUOTA: '1GB', PASS: 's3cret' });
    await first.printed(/^Server initialized/m);
    const [, address] = await first.printed(/^Server address: (\S+):0$/m);
    await first.printed(/^Listening on port/m);
    expect(first.output().stdout).toContain('Uploading new files requires password.');
    expect((await first.end('SIGINT')).exitCode).toBe(0);
    const again = run([], {});
    expect((await again.printed(/^Server address: (\S+):0$/m))[1]).toBe(address);
    await again.printed(/^Listening on port/m);
    expect(again.output().stdout).not.toContain('initialized');
    expect((await run(['status'], {}).ended).stdout).toMatch(/^Relay: +running/);
    expect((await again.end('SIGINT')).exitCode).toBe(0);
  });
});
