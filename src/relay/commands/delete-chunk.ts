import { encodeBase64Url, type Response } from '../../protocol/index.js';
import type { OwnerServices } from '../services.js';
import { errorResponse, OK } from './reply.js';

/**
 * FDEL: "deletes the stored body, the record and all recipient IDs" (protocol reference, section 5.3).
 *
 * @param counter what the deletion counts as
 */
export async function deleteChunk(
  senderId: Uint8Array,
  counter: 'filesDeleted' | 'filesExpired',
  services: OwnerServices,
): Promise<Response> {
  return await services.exclusive.run(encodeBase64Url(senderId), async () => {
    const record = await services.store.bySender(senderId);
    if (record === undefined) return errorResponse('AUTH');
    try {
      // While the log takes no lines nothing is deleted, or the record would outlive its body.
      await services.store.settled();
      // The body first: on a full disk it makes the room for the line. After a crash in between, a record without a body
      // expires. A record that knows of no body may still have one, if the relay was killed before it was noted.
      await services.storage.remove(record.place ?? services.storage.placeOf(senderId));
      if (record.place !== undefined) services.quota.free(record.place, record.size);
    } catch (error) {
      services.failed(error);
      return errorResponse('FILE_IO');
    }
    if ((await services.store.change({ type: 'FDEL', senderId })) !== 'done') return errorResponse('AUTH');
    if (record.place !== undefined) services.quota.forget(record.place);
    services.statistics.count(counter);
    return OK;
  });
}

/** FACK: "deletes this recipient ID only" (section 5.3). */
export async function acknowledgeChunk(recipientId: Uint8Array, services: OwnerServices): Promise<Response> {
  const outcome = await services.store.change({ type: 'FACK', recipientId: Uint8Array.from(recipientId) });
  if (outcome !== 'done') return errorResponse('AUTH');
  services.statistics.count('fileDownloadAcks');
  return OK;
}
