import type { AgentClient, AgentEvent } from '#src/sdk/index.js';

type Ending = Extract<
  AgentEvent,
  { readonly type: 'transfer.completed' | 'transfer.failed' | 'transfer.approval' }
>;

/** The first event that says how a transfer ended, or that it wants approval; or the first of the given type. */
export async function outcomeOf<T extends Ending['type'] = 'transfer.completed'>(
  client: AgentClient,
  id: string,
  type?: T,
): Promise<Extract<AgentEvent, { readonly type: T }>> {
  const types =
    type === undefined
      ? (['transfer.completed', 'transfer.failed', 'transfer.approval'] as const)
      : ([type] as const);
  for await (const event of client.events({ since: 0, transferId: id, types }))
    // As the types are all that was asked for; which of them it is, the test sees.
    return event as Extract<AgentEvent, { readonly type: T }>;
  throw new Error('The client was closed.');
}
