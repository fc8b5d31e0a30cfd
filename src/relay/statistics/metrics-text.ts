import type { Counter, Period } from './statistics.js';
import type { RelayFigures } from './figures.js';

/** One metric: its name, what its HELP says, its type, the reference's note below it, and its value. */
type Metric = readonly [
  name: string,
  help: string,
  type: 'counter' | 'gauge',
  note: string,
  value: (figures: RelayFigures) => number,
];

const counter =
  (name: Counter) =>
  ({ statistics }: RelayFigures): number =>
    statistics.counts[name];
const distinct =
  (period: Period) =>
  ({ statistics }: RelayFigures): number =>
    statistics.downloaded[period].size;

/** The metrics of the reference, its wording included (protocol reference, section 11.5, and the recorded file). */
const REFERENCE: readonly Metric[] = [
  ['simplex_xftp_files_created', 'Created files', 'counter', 'filesCreated', counter('filesCreated')],
  [
    'simplex_xftp_files_recipients',
    'Files recipients',
    'counter',
    'fileRecipients',
    counter('fileRecipients'),
  ],
  ['simplex_xftp_files_uploaded', 'Uploaded files', 'counter', 'filesUploaded', counter('filesUploaded')],
  ['simplex_xftp_files_expired', 'Expired files', 'counter', 'filesExpired', counter('filesExpired')],
  ['simplex_xftp_files_deleted', 'Deleted files', 'counter', 'filesDeleted', counter('filesDeleted')],
  ['simplex_xftp_files_blocked', 'Blocked files', 'counter', 'filesBlocked', counter('filesBlocked')],
  ['simplex_xftp_file_downloads', 'File downloads', 'counter', 'fileDownloads', counter('fileDownloads')],
  [
    'simplex_xftp_file_download_acks',
    'File download ACKs',
    'counter',
    'fileDownloadAcks',
    counter('fileDownloadAcks'),
  ],
  [
    'simplex_xftp_files_count_total',
    'Total files count ',
    'gauge',
    'filesCount',
    ({ stored }) => stored.count,
  ],
  ['simplex_xftp_files_size', 'Size of files ', 'gauge', 'filesSize ', ({ stored }) => stored.bytes],
  [
    'simplex_xftp_files_count_daily',
    'Daily files count',
    'gauge',
    'filesDownloaded.dayCount',
    distinct('day'),
  ],
  [
    'simplex_xftp_files_count_weekly',
    'Weekly files count',
    'gauge',
    'filesDownloaded.weekCount',
    distinct('week'),
  ],
  [
    'simplex_xftp_files_count_monthly',
    'Monthly files count',
    'gauge',
    'filesDownloaded.monthCount',
    distinct('month'),
  ],
];

/** What the reference does not tell. */
const OWN: readonly (readonly [name: string, help: string, type: 'counter' | 'gauge', value: Metric[4]])[] = [
  [
    'xftp_relay_start_time_seconds',
    'Unix time at which the relay was started',
    'gauge',
    (f) => f.startedAt / 1000,
  ],
  [
    'xftp_relay_statistics_start_time_seconds',
    'Unix time since which the files are counted',
    'gauge',
    (f) => Math.floor(Date.parse(f.statistics.since) / 1000),
  ],
  ['xftp_relay_clients', 'Connections of clients', 'gauge', (f) => f.clients],
  ['xftp_relay_used_bytes', 'Bytes of stored chunks and of uploads under way', 'gauge', (f) => f.usedBytes],
  ['xftp_relay_quota_bytes', 'Bytes that chunks may take up', 'gauge', (f) => f.quotaBytes ?? Infinity],
  ['xftp_relay_uploading', 'Whether clients may make new chunks', 'gauge', (f) => (f.newFiles ? 1 : 0)],
  [
    'xftp_relay_problems_total',
    'Failures of the relay itself, such as a full disk',
    'counter',
    (f) => f.problems,
  ],
  ['xftp_relay_memory_bytes', 'Memory of all processes of the relay', 'gauge', (f) => f.use.memory],
  ['xftp_relay_workers', 'Processes that serve connections beside the main one', 'gauge', (f) => f.workers],
];

/** The text that the reference writes into its metrics file: Prometheus' format, with times. */
export function formatMetricsFile(figures: RelayFigures, now: number): string {
  const time = String(now);
  const lines = REFERENCE.flatMap(([name, help, type, note, value]) => [
    ...head(name, help, type),
    `${name} ${formatValue(value(figures))} ${time}`,
    `# ${note}`,
    '',
  ]);
  return [
    `# Recorded at: ${new Date(now).toISOString()}`,
    `# Stats from: ${figures.statistics.since}`,
    '',
    '# Files',
    '# -----',
    '',
    ...lines,
    '# Info',
    '# ----',
    '',
    ...info(figures),
    '',
    '',
  ].join('\n');
}

/** The text for those who ask over HTTP: all metrics, the relay's own too, without times. */
export function formatMetrics(figures: RelayFigures): string {
  const metrics = [
    ...REFERENCE.map(([name, help, type, , value]) => [name, help.trim(), type, value] as const),
    ...OWN,
  ];
  const lines = metrics.flatMap(([name, help, type, value]) => [
    ...head(name, help, type),
    `${name} ${formatValue(value(figures))}`,
  ]);
  return [...lines, ...info(figures), ''].join('\n');
}

function info({ version, rtsOptions }: RelayFigures): string[] {
  const help = 'Server information. RTS options have to be passed via XFTP_RTS_OPTIONS env var';
  const labels = `version="${escapeLabel(version)}",rts_options="${escapeLabel(rtsOptions)}"`;
  return [...head('simplex_xftp_info', help, 'gauge'), `simplex_xftp_info{${labels}} 1`];
}

function head(name: string, help: string, type: string): [string, string] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function formatValue(value: number): string {
  return value === Infinity ? '+Inf' : String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
