import type { AgentApi } from '../agent/index.js';

import type { CallCounter } from './call-figures.js';

type Labels = Readonly<Record<string, string>>;

/** One figure of a metric; a summary has figures with endings to its name. */
interface Sample {
  readonly labels?: Labels;
  readonly value: number;
  readonly ending?: '_sum' | '_count';
}

/** The figures of the agent and its RPC in Prometheus' text format. */
export function metricsText(agent: AgentApi, calls: CallCounter, connections: number): string {
  const info = agent.info();
  const stats = agent.stats();
  const actions = stats.flatMap(({ address, actions }) =>
    actions.map((figures) => ({ ...figures, labels: { server: address, action: figures.action } })),
  );
  const methods = [...calls.byMethod];
  return [
    metric('xftp_agent_info', 'gauge', 'The agent.', [{ labels: { version: info.version }, value: 1 }]),
    metric('xftp_agent_start_time_seconds', 'gauge', 'When the agent was started.', [
      { value: info.startedAt / 1000 },
    ]),
    metric('xftp_agent_online', 'gauge', 'Whether the agent believes that there is a network.', [
      { value: info.network.online ? 1 : 0 },
    ]),
    metric(
      'xftp_agent_transfers',
      'gauge',
      'Transfers in each state.',
      Object.entries(info.transfers).map(([state, value]) => ({ labels: { state }, value })),
    ),
    metric('xftp_agent_relay_tasks', 'gauge', 'Deletions and acknowledgements that relays have to be told.', [
      { value: info.relayTasks },
    ]),
    metric('xftp_agent_events_newest', 'counter', 'Number of the newest durable event.', [
      { value: info.events.newest },
    ]),
    metric(
      'xftp_agent_server_attempts_total',
      'counter',
      'Requests to relays.',
      actions.map(({ labels, attempts }) => ({ labels, value: attempts })),
    ),
    metric(
      'xftp_agent_server_successes_total',
      'counter',
      'Requests that relays did.',
      actions.map(({ labels, successes }) => ({ labels, value: successes })),
    ),
    metric(
      'xftp_agent_server_bytes_total',
      'counter',
      'Bytes of chunks to and from relays.',
      actions.map(({ labels, bytes }) => ({ labels, value: bytes })),
    ),
    metric(
      'xftp_agent_server_failures_total',
      'counter',
      'Requests that failed, by the kind of the failure.',
      stats.flatMap(({ address, failures }) =>
        failures.map(({ kind, count }) => ({ labels: { server: address, kind }, value: count })),
      ),
    ),
    metric('xftp_agent_rpc_connections', 'gauge', 'Clients that are connected.', [{ value: connections }]),
    metric(
      'xftp_agent_rpc_calls_total',
      'counter',
      'Calls by method and outcome.',
      methods.flatMap(([method, { outcomes }]) =>
        [...outcomes].map(([outcome, value]) => ({ labels: { method, outcome }, value })),
      ),
    ),
    metric(
      'xftp_agent_rpc_call_duration_seconds',
      'summary',
      'Time that calls took.',
      methods.flatMap(([method, { count, seconds }]) => [
        { labels: { method }, value: seconds, ending: '_sum' },
        { labels: { method }, value: count, ending: '_count' },
      ]),
    ),
  ].join('');
}

function metric(
  name: string,
  type: 'counter' | 'gauge' | 'summary',
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(
    ({ labels = {}, value, ending = '' }) => `${name}${ending}${labelText(labels)} ${String(value)}\n`,
  );
  return [`# HELP ${name} ${help}\n`, `# TYPE ${name} ${type}\n`, ...lines].join('');
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
