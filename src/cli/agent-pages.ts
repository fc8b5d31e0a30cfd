import type { Direction, TransferInfo, TransferState } from '../agent/index.js';
import type { AgentClient } from '../sdk/index.js';

/** Transfers asked for at once: the most that the agent gives. */
const PAGE = 1000;

/** Which transfers to list. */
export interface TransferFilter {
  readonly direction?: Direction;
  readonly state?: TransferState;
}

/** All transfers, newest first, a page at a time. */
export async function* allTransfers(
  agent: AgentClient,
  filter: TransferFilter = {},
): AsyncGenerator<TransferInfo> {
  let cursor: string | undefined;
  do {
    const page = await agent.call('transfers.list', {
      ...filter,
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield* page.items;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** The newest transfers, and whether there are more. */
export async function newestTransfers(
  agent: AgentClient,
  filter: TransferFilter,
  limit: number,
): Promise<{ readonly transfers: readonly TransferInfo[]; readonly more: boolean }> {
  const transfers: TransferInfo[] = [];
  for await (const transfer of allTransfers(agent, filter)) {
    if (transfers.length === limit) return { transfers, more: true };
    transfers.push(transfer);
  }
  return { transfers, more: false };
}
