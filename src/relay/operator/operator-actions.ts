import { formatWireError, type WireError } from '../../protocol/index.js';
import { blockChunk } from '../commands/block-chunk.js';
import { deleteChunk } from '../commands/delete-chunk.js';
import type { Reply } from '../commands/reply.js';
import type { ChunkRecord } from '../record.js';
import type { RelayServices } from '../services.js';
import type { ControlActions } from './control-session.js';

/** What the control port can do to a relay. */
export function operatorActions(services: RelayServices, metrics: () => Promise<string>): ControlActions {
  const forRecipient = async (
    recipientId: Uint8Array,
    act: (record: ChunkRecord) => Promise<Reply>,
  ): Promise<string> => {
    try {
      const entry = await services.store.byRecipient(recipientId);
      return entry === undefined ? failure({ type: 'AUTH' }) : outcome(await act(entry.record));
    } catch (error) {
      services.failed(error);
      return failure({ type: 'INTERNAL' });
    }
  };
  return {
    metrics,
    remove: (recipientId) =>
      forRecipient(recipientId, ({ senderId }) => deleteChunk(senderId, 'filesDeleted', services)),
    block: (recipientId, info) =>
      forRecipient(recipientId, ({ senderId }) => blockChunk(senderId, info, services)),
  };
}

function outcome({ response }: Reply): string {
  return response.type === 'ERR' ? failure(response.error) : 'ok';
}

function failure(error: WireError): string {
  return `error: ${formatWireError(error)}`;
}
