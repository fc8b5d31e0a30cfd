import type { TransferInfo } from '../agent/index.js';
import { isXftpError, XftpError } from '../protocol/index.js';
import { allTransfers } from './agent-pages.js';
import type { AgentClient } from '../sdk/index.js';
import { safeText } from './display-text.js';

/** So many candidates are named when an ID is not unique. */
const MAX_NAMED = 5;

/**
 * The transfer with this ID, or the only one whose ID begins with it.
 *
 * @throws XftpError NOT_FOUND when there is none, INVALID_ARGUMENT when there are several
 */
export async function findTransfer(agent: AgentClient, idOrPrefix: string): Promise<TransferInfo> {
  if (idOrPrefix === '') throw new XftpError('INVALID_ARGUMENT', 'The ID is empty.');
  try {
    return await agent.call('transfers.get', { id: idOrPrefix });
  } catch (error) {
    if (!isXftpError(error, 'NOT_FOUND')) throw error;
  }
  const candidates: TransferInfo[] = [];
  for await (const transfer of allTransfers(agent))
    if (transfer.id.startsWith(idOrPrefix)) candidates.push(transfer);
  return onlyOne(candidates, idOrPrefix);
}

function onlyOne(candidates: readonly TransferInfo[], prefix: string): TransferInfo {
  const [first, ...others] = candidates;
  if (first === undefined)
    throw new XftpError(
      'NOT_FOUND',
      `There is no transfer whose ID is or begins with ${safeText(JSON.stringify(prefix))}: \`xftp-agent list\` shows them.`,
    );
  if (others.length === 0) return first;
  const named = candidates.slice(0, MAX_NAMED).map(({ id }) => id);
  const more = candidates.length > named.length ? ', …' : '';
  throw new XftpError(
    'INVALID_ARGUMENT',
    `The IDs of ${String(candidates.length)} transfers begin with ${JSON.stringify(prefix)}: write more of it ` +
      `(${named.join(', ')}${more}).`,
  );
}
