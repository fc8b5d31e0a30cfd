import type { AgentEvent } from '../agent/index.js';
import { humanCount, humanSize } from '../protocol/index.js';
import { safeText } from './display-text.js';
import { failureText, nameOf, paceText, percentOf, stateText } from './transfer-text.js';

/** An event as a sentence without its subject, such as `uploading` or `failed: …`. */
export function eventText(event: AgentEvent): string {
  switch (event.type) {
    case 'transfer.created': {
      const { direction } = event.data.transfer;
      return `${direction === 'send' ? 'send' : 'receive'} of ${nameOf(event.data.transfer)} was added`;
    }
    case 'transfer.state': {
      const { from, to, failure } = event.data;
      const reason = failure === undefined ? '' : `: ${failureText(failure)}`;
      const { waitingReason } = event.data;
      return `${stateText({ state: from })} → ${stateText({ state: to, ...(waitingReason && { waitingReason }) })}${reason}`;
    }
    case 'transfer.completed':
      return completedText(event.data.transfer);
    case 'transfer.failed':
      return `failed: ${failureText(event.data.failure)}`;
    case 'transfer.warning': {
      const { warning, failure, server } = event.data;
      const about = server === undefined ? '' : ` (${server})`;
      return `${warning === 'security' ? 'SECURITY warning' : 'warning'}${about}: ${failureText(failure)}`;
    }
    case 'transfer.approval':
      return `needs approval for ${event.data.servers.join(', ')}: ${event.data.reason}`;
    case 'transfer.recipients':
      return `recipients: ${String(event.data.handedOut)} handed out, ${String(event.data.spare)} spare`;
    case 'transfer.replicated': {
      const { wanted, complete, missing, failure } = event.data;
      const why = failure === undefined ? '' : `: ${failureText(failure)}`;
      return missing === 0
        ? `all is on ${humanCount(wanted, 'relay')}`
        : `all is on ${humanCount(complete, 'relay')}, not ${String(wanted)}; ${humanCount(missing, 'chunk')} less than wanted${why}`;
    }
    case 'transfer.revoked':
      return `revoked, ${humanCount(event.data.pending, 'deletion')} to do`;
    case 'transfer.deleted':
      return `deleted from relays: ${humanCount(event.data.deleted, 'chunk')}, ${String(event.data.failed)} failed`;
    case 'transfer.removed':
      return 'was removed from the list';
    case 'transfer.progress': {
      const { bytesDone, bytesTotal } = event.data;
      const share = `${String(percentOf(bytesDone, bytesTotal))} % of ${humanSize(bytesTotal)}`;
      return `${stateText(event.data)} ${share}, ${paceText(event.data)}`;
    }
    case 'network.changed': {
      const { online, metered } = event.data.network;
      return `network is ${online ? 'online' : 'offline'}${metered ? ', metered' : ''}`;
    }
    case 'settings.changed':
      return 'settings were changed';
    case 'servers.changed':
      return 'the server list was changed';
  }
}

/** An event as one line: when, what about, what. */
export function eventLine(event: AgentEvent): string {
  const time = new Date(event.at).toISOString();
  const number = 'seq' in event ? ` #${String(event.seq)}` : '';
  const subject = event.transferId === undefined ? '' : ` ${event.transferId}`;
  return safeText(`${time}${number}${subject}  ${eventText(event)}`);
}

function completedText(transfer: {
  readonly direction: 'send' | 'receive';
  readonly path?: string;
  readonly fileName?: string;
}): string {
  if (transfer.direction === 'send') return `completed: ${nameOf(transfer)} was sent`;
  return `completed: ${transfer.path ?? nameOf(transfer)}`;
}
