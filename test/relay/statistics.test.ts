import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { OperatorOptions } from '#src/relay/index.js';
import type { RelayFigures } from '#src/relay/statistics/figures.js';
import { formatMetrics, formatMetricsFile } from '#src/relay/statistics/metrics-text.js';
import { formatSavedStatistics, parseSavedStatistics } from '#src/relay/statistics/saved-statistics.js';
import { RelayStatistics } from '#src/relay/statistics/statistics.js';
import { processUse } from '#src/relay/process-use.js';
import { StatisticsFiles } from '#src/relay/statistics/statistics-files.js';

import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

const RECORDED = 'test/vectors/relay-ed448/var';
const STORED = { count: 10, bytes: 2031616 };
const HOUR_MS = 3600 * 1000;

function figuresOf(statistics: RelayStatistics): RelayFigures {
  return {
    statistics: statistics.snapshot,
    stored: STORED,
    usedBytes: STORED.bytes,
    quotaBytes: undefined,
    newFiles: true,
    use: processUse(),
    workers: 0,
    clients: 3,
    startedAt: 1000,
    problems: 0,
    version: '6.5.2.0',
    rtsOptions: 'set XFTP_RTS_OPTIONS',
  };
}

function savedIn(saved: string): { readonly operator: OperatorOptions } {
  return { operator: { statistics: { saved } } };
}

describe('saved statistics', () => {
  it('of the reference are read, and written again byte for byte', async () => {
    const text = await readFile(`${RECORDED}/file-server-stats.log`, 'utf8');
    const statistics = new RelayStatistics(Date.now(), parseSavedStatistics(text));
    expect(formatSavedStatistics(statistics.snapshot, STORED)).toBe(text);
  });

  it.each([
    '',
    'rubbish\n',
    'fromTime=yesterday\n',
    'fromTime=2026-13-45T00:00:00Z\n',
    'fromTime=2026-11-22T03:49:16Z\nfilesCreated=-1\n',
    'fromTime=2026-11-22T03:49:16Z\ndayHashes=a,b\n',
  ])('are not %j: counting begins anew, and the file is kept', async (text) => {
    const path = join(await temporaryFolder(), 'stats.log');
    await writeFile(path, text);
    const relay = await testRelay(savedIn(path));
    expect((await relay.figures()).statistics.counts.filesCreated).toBe(0);
    expect(relay.problems).toEqual([
      `${path} does not hold saved statistics: it is kept as ${path}.bak, and counting begins anew.`,
    ]);
    expect(await readFile(`${path}.bak`, 'utf8')).toBe(text);
  });

  it('are left as they are by a start that fails, and taken up by the next one', async () => {
    const path = join(await temporaryFolder(), 'stats.log');
    const text = await readFile(`${RECORDED}/file-server-stats.log`, 'utf8');
    await writeFile(path, text);
    const busy = await testRelay();
    await expect(testRelay({ ...savedIn(path), port: busy.port })).rejects.toThrow('another program');
    const metrics = { operator: { ...savedIn(path).operator, metricsPort: busy.port } };
    await expect(testRelay(metrics)).rejects.toThrow('another program');
    const stopped = { ...savedIn(path), signal: AbortSignal.abort() };
    await expect(testRelay(stopped)).rejects.toThrow('told to stop');
    expect(await readdir(dirname(path))).toEqual(['stats.log']);
    expect(await readFile(path, 'utf8')).toBe(text);

    const relay = await testRelay(savedIn(path));
    const { counts } = (await relay.figures()).statistics;
    expect(counts).toEqual(parseSavedStatistics(text).counts);
    expect((await readdir(dirname(path))).sort()).toEqual(['stats.log', 'stats.log.bak']);
    expect(await readFile(`${path}.bak`, 'utf8')).toBe(text);
    expect(parseSavedStatistics(await readFile(path, 'utf8')).counts).toEqual(counts);
    await relay.stop();
    expect(await readFile(`${path}.bak`, 'utf8')).toBe(text);
  });

  it('that cannot be read are kept, and told of', async () => {
    const path = join(await temporaryFolder(), 'stats.log');
    // Whoever runs the tests: a mode does not keep root from reading.
    await symlink('stats.log', path);
    const relay = await testRelay(savedIn(path));
    expect(relay.problems).toHaveLength(1);
    expect(relay.problems[0]).toContain(
      `${path} cannot be read and is kept as ${path}.bak, and counting begins anew: `,
    );
    expect(await readlink(`${path}.bak`)).toBe('stats.log');
    expect(parseSavedStatistics(await readFile(path, 'utf8')).counts.filesCreated).toBe(0);
  });

  it('that cannot be kept are not overwritten', async () => {
    const path = join(await temporaryFolder(), 'stats.log');
    await writeFile(path, 'precious');
    await mkdir(`${path}.bak`);
    const relay = await testRelay(savedIn(path));
    await relay.stop();
    expect(relay.problems.slice(1)).toEqual([
      `${path} cannot be renamed to ${path}.bak, and no statistics are saved until one of them is moved away: ` +
        'it is a folder.',
    ]);
    expect(await readFile(path, 'utf8')).toBe('precious');
  });
});

describe('metrics', () => {
  it('in the file are those of the reference, byte for byte', async () => {
    const text = await readFile(`${RECORDED}/xftp-server-metrics.txt`, 'utf8');
    const saved = parseSavedStatistics(await readFile(`${RECORDED}/file-server-stats.log`, 'utf8'));
    const now = 1795319458503;
    expect(formatMetricsFile(figuresOf(new RelayStatistics(now, saved)), now)).toBe(
      text.replace('503811993Z', '503Z'),
    );
  });

  it('over HTTP are the same and some of the relay itself, one sample each, without times', () => {
    const text = formatMetrics(figuresOf(new RelayStatistics(0)));
    const lines = text.trimEnd().split('\n');
    for (const [index, line] of lines.entries()) {
      const [kind, name] = [['HELP'], ['TYPE'], []][index % 3]!.concat(/[a-z_]{8,}/.exec(line)![0]);
      expect(line).toMatch(
        kind === 'HELP' || kind === 'TYPE'
          ? new RegExp(`^# ${kind} ${name!} [A-Za-z]`)
          : /^[a-z_]+(?:\{[^}]+\})? (?:\d+(?:\.\d+)?|\+Inf)$/,
      );
    }
    expect(text).toContain('\nxftp_relay_clients 3\n');
    expect(text).toContain('\nxftp_relay_quota_bytes +Inf\n');
  });
});

describe('the daily statistics', () => {
  /** A Saturday evening; the next Monday is the first day of a month. */
  const SATURDAY = Date.parse('2026-05-30T22:30:00Z');

  it('have a line for each day, with the week on Mondays and the month on the first', async () => {
    const folder = await temporaryFolder();
    const daily = join(folder, 'stats.daily.log');
    let time = SATURDAY;
    const statistics = new RelayStatistics(time);
    const files = new StatisticsFiles(
      { daily },
      {
        statistics,
        figures: () => Promise.resolve(figuresOf(statistics)),
        now: () => time,
        report: (problem) => {
          throw new Error(problem);
        },
      },
    );
    const chunk = (number: number): Uint8Array => new Uint8Array(16).fill(number);
    statistics.count('filesCreated', 5);
    statistics.count('fileRecipients', 6);
    statistics.count('filesUploaded', 4);
    statistics.count('filesDeleted', 3);
    statistics.count('filesExpired', 2);
    statistics.count('fileDownloadAcks');
    for (const number of [1, 1, 2]) statistics.downloaded(chunk(number));
    await files.endDay();
    time += 2 * HOUR_MS; // Sunday
    await files.endDay();
    await files.endDay();
    for (const number of [2, 3]) statistics.downloaded(chunk(number));
    time += 24 * HOUR_MS; // Monday, the 1st
    await files.endDay();
    time += 24 * HOUR_MS; // Tuesday
    await files.endDay();
    expect(await readFile(daily, 'utf8')).toBe(
      '2026-05-30,5,6,4,3,2,,,3,1,10,2031616,2\n' +
        '2026-05-31,0,0,0,0,2,3,3,2,0,10,2031616,0\n' +
        '2026-06-01,0,0,0,0,0,,,0,0,10,2031616,0\n',
    );
  });

  it('that cannot be written are told of once, and counting goes on', async () => {
    const daily = join(await temporaryFolder(), 'missing', 'stats.daily.log');
    let time = SATURDAY;
    const problems: string[] = [];
    const statistics = new RelayStatistics(time);
    const files = new StatisticsFiles(
      { daily },
      {
        statistics,
        figures: () => Promise.resolve(figuresOf(statistics)),
        now: () => time,
        report: (problem) => problems.push(problem),
      },
    );
    for (let day = 0; day < 3; day++) {
      statistics.count('filesCreated');
      time += 24 * HOUR_MS;
      await files.endDay();
    }
    expect(problems).toEqual([`${daily} cannot be written: it does not exist.`]);
    await mkdir(dirname(daily));
    await files.endDay();
    await files.endDay();
    expect(await readFile(daily, 'utf8')).toMatch(/^2026-05-30,3,.*\n$/);
  });
});

describe('statistics that cannot be had', () => {
  it('are told of once, and keep none of the files from being written later', async () => {
    const folder = await temporaryFolder();
    const [daily, saved, metrics] = ['daily', 'saved', 'metrics'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const problems: string[] = [];
    let time = Date.parse('2026-05-30T22:30:00Z');
    const statistics = new RelayStatistics(time);
    let broken = true;
    const files = new StatisticsFiles(
      { daily, saved, metrics: { path: metrics, seconds: 3600 } },
      {
        statistics,
        figures: () =>
          broken ? Promise.reject(new Error('no store')) : Promise.resolve(figuresOf(statistics)),
        now: () => time,
        report: (problem) => problems.push(problem),
      },
    );
    time += 24 * HOUR_MS;
    const writeAll = async (): Promise<void> => {
      await Promise.all([files.save(), files.writeMetrics(), files.endDay()]);
    };
    await writeAll();
    await writeAll();
    expect(problems).toEqual(
      [saved, metrics, daily].map((path) => `${path} cannot be written: unexpected error (Error: no store).`),
    );
    expect(await readdir(folder)).toEqual([]);
    broken = false;
    await writeAll();
    expect(await readdir(folder)).toEqual(['daily', 'metrics', 'saved']);
  });
});

describe('a relay at work', () => {
  it('counts what happens, goes on after a restart, and shows it over HTTP', async () => {
    const folder = await temporaryFolder();
    const saved = join(folder, 'stats.log');
    const relay = await testRelay({
      storageQuota: 200_000,
      operator: { statistics: { saved }, metricsPort: 0 },
    });
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(), { recipients: 3 });
    expect(await client.put(chunk)).toBe('OK');
    expect(await client.put(chunk)).toBe('OK');
    for (let download = 0; download < 2; download++) expect(await client.get(chunk)).toBeInstanceOf(Buffer);

    const fetched = async (port: number, path = '/metrics'): Promise<Response> => {
      const response = await fetch(`http://127.0.0.1:${String(port)}${path}`);
      onTestFinished(() => response.body?.cancel().catch(() => undefined));
      return response;
    };
    const response = await fetched(relay.metricsPort!);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const expected = {
      simplex_xftp_files_created: 1,
      simplex_xftp_files_recipients: 3,
      simplex_xftp_files_uploaded: 1,
      simplex_xftp_file_downloads: 2,
      simplex_xftp_files_count_total: 1,
      simplex_xftp_files_size: 65536,
      simplex_xftp_files_count_daily: 1,
      xftp_relay_used_bytes: 65536,
      xftp_relay_quota_bytes: 200_000,
      xftp_relay_clients: 1,
    };
    const text = await response.text();
    for (const [name, value] of Object.entries(expected))
      expect(text).toContain(`\n${name} ${String(value)}\n`);
    expect((await fetched(relay.metricsPort!, '/')).status).toBe(404);

    const again = await relay.restart();
    const { statistics, stored } = await again.figures();
    expect(statistics.counts).toMatchObject({ filesCreated: 1, fileRecipients: 3, fileDownloads: 2 });
    expect(stored).toEqual({ count: 1, bytes: 65536 });
  });
});
