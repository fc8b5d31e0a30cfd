import { humanSize } from '../protocol/index.js';
import { askRelay, loadRelayConfig, type RelayFolders, storedFiles } from '../relay/index.js';
import { EXIT_FAILURE } from './exit-codes.js';
import type { Output } from './output.js';
import { formatFields } from './table.js';
import { elapsed } from './time-text.js';

/** Exit code of `status` when no relay runs, as service managers have it. */
export const EXIT_NOT_RUNNING = 3;
/** What `status` says of a relay that runs but is of no use to anybody, with the exit code of a failure: it is not well. */
const NO_ANSWER =
  'The relay does not answer: its process is stopped or too busy. If that does not pass, end it and start it again.';

type Fields = readonly (readonly [string, string | undefined])[];

/** `status`: how the relay is, as it tells itself or as its files tell. */
export async function showServerStatus(folders: RelayFolders, output: Output): Promise<void> {
  const config = await loadRelayConfig(folders, process.env);
  const { running, answers, process: pid, use, metrics } = await askRelay(config);
  const silent = running && !answers;
  const number = pid === undefined ? '' : `process ${String(pid)}`;
  const detail = silent
    ? 'does not answer'
    : use === undefined
      ? number
      : `xftp-server ${use} has its files: ${number}`;
  const state = `${running ? 'running' : 'not running'}${detail === '' ? '' : ` (${detail})`}`;
  if (!running) process.exitCode = EXIT_NOT_RUNNING;
  else if (silent) process.exitCode = EXIT_FAILURE;
  if (metrics === undefined) {
    const { count, bytes } = await storedFiles(config.filesPath);
    const fields: Fields = [
      ['Relay', state],
      ['Chunks', `${String(count)} on the disk, ${usage(bytes, config.storageQuota)}`],
    ];
    output.result('status', formatFields(fields).join('\n'), {
      running,
      ...(silent ? { answers } : {}),
      ...(use === undefined ? {} : { use }),
      ...(pid === undefined ? {} : { pid }),
      chunks: count,
      bytes,
      quota: config.storageQuota,
    });
    if (silent) output.warn(NO_ANSWER);
    else if (running)
      output.warn(
        'The relay tells no more: set metrics_port in [TRANSPORT], or control_port there and a password for it in [AUTH].',
      );
    return;
  }
  const now = Date.now();
  const fields: Fields = [['Relay', state], ...metricFields(metrics, now)];
  const members = Object.fromEntries([...metrics].filter(([, value]) => Number.isFinite(value)));
  output.result('status', formatFields(fields).join('\n'), { running, pid, metrics: members });
}

function metricFields(metrics: ReadonlyMap<string, number>, now: number): Fields {
  const value = (name: string): number => metrics.get(name) ?? 0;
  const since = (name: string): string => elapsed(Math.max(0, now - value(name) * 1000));
  const file = (name: string): string => String(value(`simplex_xftp_${name}`));
  const quota = value('xftp_relay_quota_bytes');
  return [
    ['Up', since('xftp_relay_start_time_seconds')],
    [
      'Chunks',
      `${file('files_count_total')}, ${usage(value('xftp_relay_used_bytes'), quota === Infinity ? undefined : quota)}`,
    ],
    ['Clients', String(value('xftp_relay_clients'))],
    ['New files', value('xftp_relay_uploading') === 1 ? 'allowed' : 'NOT allowed'],
    ['Problems', String(value('xftp_relay_problems_total'))],
    [
      'Counted',
      `in ${since('xftp_relay_statistics_start_time_seconds')}: ${file('files_created')} created, ` +
        `${file('files_uploaded')} uploaded, ${file('file_downloads')} downloads, ` +
        `${file('file_download_acks')} acknowledged, ${file('files_deleted')} deleted, ` +
        `${file('files_expired')} expired, ${file('files_blocked')} blocked`,
    ],
  ];
}

function usage(bytes: number, quota: number | undefined): string {
  if (quota === undefined) return `${humanSize(bytes)} without a quota`;
  const percent = quota === 0 ? 100 : Math.floor((bytes / quota) * 100);
  return `${humanSize(bytes)} of ${humanSize(quota)} (${String(percent)} %)`;
}
