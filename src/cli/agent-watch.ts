import type { Command } from 'commander';

import type { AgentEvent, TransferInfo } from '../agent/index.js';
import { isXftpError } from '../protocol/index.js';
import {
  agentCommand,
  type AgentSession,
  type CommandTools,
  type CommonOptions,
  withAgent,
} from './agent-command.js';
import { followEvents, newestEvent, requireCompleted, whileShown } from './agent-follow.js';
import { allTransfers } from './agent-pages.js';
import { findTransfer } from './agent-transfer-id.js';
import { eventLine, eventText } from './event-text.js';
import { safeText } from './display-text.js';
import { LiveLines } from './live-lines.js';
import { isFinished, nameOf, type Pace, transferBarLine } from './transfer-text.js';

/** What is known about a transfer that is shown. */
interface Watched {
  readonly transfer: TransferInfo;
  readonly pace?: Pace;
}

/** How transfers are shown while they are watched. */
interface View {
  /** A transfer that is under way when the watching begins. */
  readonly start: (transfer: TransferInfo) => void;
  readonly event: (event: AgentEvent) => void;
  readonly end: () => void;
}

/** `xftp-agent watch`. */
export function addWatchCommand(program: Command, tools: CommandTools): void {
  agentCommand(program, 'watch', 'show how transfers go')
    .argument('[ID]', 'only this transfer, until its end (ID or its beginning)')
    .addHelpText(
      'after',
      `
On a terminal one line shows each transfer; elsewhere, and with --json, there is a line for each event. Without an ID
it goes on until Ctrl-C, which ends nothing but the watching.`,
    )
    .action((id: string | undefined, options: CommonOptions) =>
      withAgent(tools, options, (session) => {
        const live = process.stdout.isTTY && options.json !== true;
        const shown = whileShown(session);
        return id === undefined ? watchAll(shown, live) : watchOne(shown, id, live);
      }),
    );
}

async function watchOne(session: AgentSession, idOrPrefix: string, live: boolean): Promise<void> {
  const { agent } = session;
  const since = await newestEvent(agent);
  const before = await findTransfer(agent, idOrPrefix);
  const { id } = before;
  const view = live ? liveView() : lineView(session);
  try {
    view.start(before);
    if (!isFinished(before.state))
      for await (const event of followEvents(session, { since, transferId: id })) {
        view.event(event);
        if (event.type === 'transfer.removed' || isEnd(event)) break;
      }
  } finally {
    view.end();
  }
  if (!session.signal.aborted) requireCompleted(await agent.transfers.get({ id }));
}

async function watchAll(session: AgentSession, live: boolean): Promise<void> {
  const since = await newestEvent(session.agent);
  const view = live ? liveView() : lineView(session);
  try {
    for await (const transfer of allTransfers(session.agent))
      if (!isFinished(transfer.state)) view.start(transfer);
    for await (const event of followEvents(session, { since })) {
      if (live && isRestart(event)) await startAgain(session, view, event.transferId);
      view.event(event);
    }
  } finally {
    view.end();
  }
}

/** Whether nothing follows in this run: these two come after the change of state, and a cancellation has only that. */
function isEnd(event: AgentEvent): boolean {
  if (event.type === 'transfer.completed' || event.type === 'transfer.failed') return true;
  return event.type === 'transfer.state' && event.data.to === 'cancelled';
}

async function startAgain({ agent }: AgentSession, view: View, id: string): Promise<void> {
  try {
    view.start(await agent.transfers.get({ id }));
  } catch (error) {
    // It may have been removed since.
    if (!isXftpError(error, 'NOT_FOUND')) throw error;
  }
}

/** Whether a transfer that had ended, and was not shown any more, is under way again. */
function isRestart(event: AgentEvent): event is AgentEvent & { readonly transferId: string } {
  return event.type === 'transfer.state' && isFinished(event.data.from);
}

/** A line for each event. */
function lineView({ output }: AgentSession): View {
  return {
    start: (transfer) => {
      output.result('transfer', transferBarLine(transfer), { ...transfer });
    },
    event: (event) => {
      const { type, ...members } = event;
      output.result(type, eventLine(event), members);
    },
    end: () => undefined,
  };
}

/** A line for each transfer under way, which changes in place; ends and warnings scroll away above. */
function liveView(): View {
  const watched = new Map<string, Watched>();
  const live = new LiveLines(process.stdout, () =>
    watched.size === 0
      ? ['Nothing is under way. Ctrl-C ends the watching.']
      : [...watched.values()].map(({ transfer, pace }) => transferBarLine(transfer, pace)),
  );
  return {
    start: (transfer) => {
      watched.set(transfer.id, { transfer });
      live.changed();
    },
    event: (event) => {
      const id = event.transferId;
      if (id === undefined) return;
      const before = watched.get(id);
      const after = applyEvent(before, event);
      if (after === undefined) watched.delete(id);
      else watched.set(id, after);
      const name = before === undefined ? id : safeText(nameOf(before.transfer));
      if (isNoteworthy(event)) live.print(safeText(`${name}: ${eventText(event)}`));
      else live.changed();
    },
    end: () => {
      live.end();
    },
  };
}

function isNoteworthy(event: AgentEvent): boolean {
  return isEnd(event) || event.type === 'transfer.warning' || event.type === 'transfer.approval';
}

/** What is known about a transfer after an event; nothing when it is not to be shown any more. */
function applyEvent(before: Watched | undefined, event: AgentEvent): Watched | undefined {
  switch (event.type) {
    case 'transfer.created':
      return { transfer: event.data.transfer };
    case 'transfer.completed':
    case 'transfer.failed':
    case 'transfer.removed':
      return undefined;
    case 'transfer.state': {
      if (before === undefined || event.data.to === 'cancelled') return undefined;
      const transfer: { -readonly [K in keyof TransferInfo]: TransferInfo[K] } = { ...before.transfer };
      transfer.state = event.data.to;
      delete transfer.waitingReason;
      delete transfer.failure;
      if (event.data.waitingReason !== undefined) transfer.waitingReason = event.data.waitingReason;
      if (event.data.failure !== undefined) transfer.failure = event.data.failure;
      return { transfer };
    }
    case 'transfer.progress': {
      if (before === undefined) return undefined;
      const { state, bytesDone, bytesTotal, ...pace } = event.data;
      return { transfer: { ...before.transfer, state, bytesDone, encryptedSize: bytesTotal }, pace };
    }
    default:
      return before;
  }
}
