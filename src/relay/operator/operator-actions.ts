import { formatWireError, type Response, type WireError } from '../../protocol/index.js';
import { blockChunk } from '../commands/block-chunk.js';
import { deleteChunk } from '../commands/delete-chunk.js';
import type { ChunkRecord } from '../record.js';
import type { OwnerServices } from '../services.js';
import type { RelayFigures } from '../statistics/figures.js';
import { formatMetrics } from '../statistics/metrics-text.js';
import type { ControlActions } from './control-session.js';

/** What the control port can do to a relay. */
export function operatorActions(
  services: OwnerServices,
  figures: () => Promise<RelayFigures>,
): ControlActions {
  const forRecipient = async (
    recipientId: Uint8Array,
    act: (record: ChunkRecord) => Promise<Response>,
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
    metrics: async () => formatMetrics(await figures()),
    use: async () => (await figures()).use,
    remove: (recipientId) =>
      forRecipient(recipientId, ({ senderId }) => deleteChunk(senderId, 'filesDeleted', services)),
    block: (recipientId, info) =>
      forRecipient(recipientId, ({ senderId }) => blockChunk(senderId, info, services)),
  };
}

function outcome(response: Response): string {
  return response.type === 'ERR' ? failure(response.error) : 'ok';
}

function failure(error: WireError): string {
  return `error: ${formatWireError(error)}`;
}
