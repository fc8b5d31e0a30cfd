import { type BlockingInfo, encodeBase64Url, type Response } from '../../protocol/index.js';
import type { OwnerServices } from '../services.js';
import { errorResponse, OK } from './reply.js';

/**
 * What an operator does against a chunk: "body deleted, record kept; every command with its sender or any recipient ID
 * → BLOCKED" (protocol reference, section 5.3). A blocked chunk may be blocked again, with another reason.
 */
export async function blockChunk(
  senderId: Uint8Array,
  info: BlockingInfo,
  services: OwnerServices,
): Promise<Response> {
  return await services.exclusive.run(encodeBase64Url(senderId), async () => {
    const record = await services.store.bySender(senderId);
    if (record === undefined) return errorResponse('AUTH');
    try {
      // The record first: nobody gets the chunk from now on. A body that a crash leaves is removed at the next start.
      if ((await services.store.change({ type: 'FBLK', senderId, info })) !== 'done')
        return errorResponse('AUTH');
      services.statistics.count('filesBlocked');
      return OK;
    } finally {
      // The change may have been made although the disk did not take its line.
      const current = await services.store.bySender(senderId);
      if (current?.place === undefined) {
        await services.storage.remove(record.place ?? services.storage.placeOf(senderId));
        if (record.place !== undefined) {
          services.quota.free(record.place, record.size);
          services.quota.forget(record.place);
        }
      }
    }
  });
}
