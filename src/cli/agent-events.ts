import type { Command } from 'commander';

import type { AgentEvent } from '../agent/index.js';
import {
  agentCommand,
  type AgentSession,
  type CommandTools,
  type CommonOptions,
  withAgent,
} from './agent-command.js';
import { followEvents, whileShown } from './agent-follow.js';
import { eventLine } from './event-text.js';
import { wholeNumber } from './number-argument.js';
import type { Output } from './output.js';

/** Events asked for at once: the most that the agent gives. */
const PAGE = 1000;

interface EventsOptions extends CommonOptions {
  readonly since?: number;
  readonly follow?: boolean;
}

/** `xftp-agent events`. */
export function addEventsCommand(program: Command, tools: CommandTools): void {
  agentCommand(program, 'events', 'show what has happened')
    .option('--since <N>', 'only events after this number', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--follow', 'go on with what happens until Ctrl-C')
    .addHelpText(
      'after',
      `
Examples:
  xftp-agent events                        all events that are kept
  xftp-agent events --follow --json        all, then new ones, one JSON object a line
  xftp-agent events --since 1200 --follow  go on where a script stopped`,
    )
    .action((options: EventsOptions) =>
      withAgent(tools, options, (session) => runEvents(whileShown(session), options)),
    );
}

async function runEvents(session: AgentSession, { since = 0, follow = false }: EventsOptions): Promise<void> {
  const { agent, output, signal } = session;
  let last = since;
  for (;;) {
    const { events, lagged, oldest } = await agent.call(
      'events.list',
      { since: last, limit: PAGE },
      { signal },
    );
    // From the very first one on: whoever does not say where to begin takes what is there.
    if (lagged && last > 0)
      output.warn(`Some events are not kept any more; the oldest one has the number ${String(oldest)}.`);
    for (const event of events) printEvent(output, event);
    const newest = events.at(-1);
    if (newest === undefined) break;
    last = newest.seq;
  }
  if (!follow) return;
  for await (const event of followEvents(session, { since: last })) printEvent(output, event);
}

function printEvent(output: Output, event: AgentEvent): void {
  // Too many, and `watch` shows them better.
  if (event.type === 'transfer.progress') return;
  const { type, ...members } = event;
  output.result(type, eventLine(event), members);
}
