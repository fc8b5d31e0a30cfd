import type { AgentEvent, TransferInfo } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';
import type { AgentClient } from '../sdk/index.js';
import { type AgentSession } from './agent-command.js';
import { outputEnd } from './standard-streams.js';
import { isFinished, waitText } from './transfer-text.js';

/** What to follow. */
export interface FollowOptions {
  readonly since: number;
  readonly transferId?: string;
}

/** The number of the newest event: what is asked for afterwards is at least as new. */
export async function newestEvent(agent: AgentClient): Promise<number> {
  return (await agent.agent.info()).events.newest;
}

/** The same session for a command that only shows something: it is over when nobody can see that any more, too. */
export function whileShown(session: AgentSession): AgentSession {
  return { ...session, signal: AbortSignal.any([session.signal, outputEnd]) };
}

/** Events until the user has enough. Events that were lost in between are told as a warning. */
export async function* followEvents(
  { agent, output, signal }: AgentSession,
  options: FollowOptions,
): AsyncGenerator<AgentEvent> {
  try {
    yield* agent.events({
      ...options,
      signal,
      onLagged: ({ oldest }) => {
        output.warn(`Some events are not kept any more; the oldest one has the number ${String(oldest)}.`);
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/**
 * Waits for the end of a transfer with its progress shown; it says when somebody has to do something.
 *
 * @returns the transfer as it ended: completed, failed or cancelled
 * @throws XftpError CANCELLED when the user does not want to wait any longer
 */
export async function waitForEnd(session: AgentSession, id: string): Promise<TransferInfo> {
  const { agent, output, signal } = session;
  const since = await newestEvent(agent);
  const before = await agent.transfers.get({ id });
  if (isFinished(before.state)) return before;
  const show = output.progress(before.direction === 'send' ? 'Uploading' : 'Downloading');
  if (before.state === 'awaiting_approval' && before.approval !== undefined)
    sayApproval(session, id, before.approval.servers);
  const sayWait = waitTeller(session, before);
  if (before.state === 'waiting') sayWait(before);
  for await (const event of followEvents(session, { since, transferId: id })) {
    if (event.type === 'transfer.progress') {
      const { bytesDone: done, bytesTotal: total } = event.data;
      show({ done, total });
    }
    if (event.type === 'transfer.warning') output.warn(event.data.failure.message);
    if (event.type === 'transfer.approval') sayApproval(session, id, event.data.servers);
    if (event.type === 'transfer.removed') break;
    if (event.type === 'transfer.state' && event.data.to === 'waiting') sayWait(event.data);
    if (event.type === 'transfer.state' && isFinished(event.data.to)) {
      output.endProgress();
      return agent.transfers.get({ id });
    }
  }
  output.endProgress();
  if (!signal.aborted) throw new XftpError('NOT_FOUND', `The transfer ${id} was removed.`);
  throw new XftpError(
    'CANCELLED',
    `The transfer goes on in the background: \`xftp-agent show ${id}\` tells how it is.`,
  );
}

/** The failure of a transfer that did not end well, so that the program ends with the code for it. */
export function requireCompleted(transfer: TransferInfo): void {
  const { id, state, failure } = transfer;
  if (state === 'completed') return;
  if (failure === undefined) throw new XftpError('ILLEGAL_STATE', `The transfer ${id} was cancelled.`);
  throw new XftpError(failure.code, failure.message, failure);
}

/** Says why a transfer waits, each reason once, however often the transfer moves in between. */
function waitTeller(
  { output }: AgentSession,
  { id, deadline }: TransferInfo,
): (wait: Pick<TransferInfo, 'waitingReason' | 'failure'>) => void {
  let last: string | undefined;
  return ({ waitingReason, failure }) => {
    const text = waitText({ waitingReason, failure }, deadline);
    if (text === last) return;
    last = text;
    output.note('waiting', text, { id, waitingReason, failure, deadline });
  };
}

function sayApproval({ output }: AgentSession, id: string, servers: readonly string[]): void {
  output.warn(
    `The file is on relays that are not in the server list and would see this machine's address ` +
      `(${servers.join(', ')}): \`xftp-agent approve ${id}\` lets it go on.`,
  );
}
