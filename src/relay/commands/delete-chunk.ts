import { encodeBase64Url } from '../../protocol/index.js';
import type { RelayServices } from '../services.js';
import { errorReply, OK, type Reply } from './reply.js';

/** FDEL: "deletes the stored body, the record and all recipient IDs" (protocol reference, section 5.3). */
export async function deleteChunk(senderId: Uint8Array, services: RelayServices): Promise<Reply> {
  return await services.exclusive.run(encodeBase64Url(senderId), async () => {
    const record = await services.store.bySender(senderId);
    if (record === undefined) return errorReply('AUTH');
    try {
      // The body first: after a crash in between, a record without a body expires; a body without one never would.
      // A record that knows of no body may still have one, if the relay was killed before it was noted.
      await services.storage.remove(record.path ?? services.storage.pathOf(senderId));
    } catch (error) {
      services.failed(error);
      return errorReply('FILE_IO');
    }
    // From here on the chunk is gone, even if the disk does not take the line yet.
    const deleted = services.store.change({ type: 'FDEL', senderId });
    if (record.path !== undefined) services.quota.free(record.size);
    return (await deleted) === 'done' ? OK : errorReply('AUTH');
  });
}

/** FACK: "deletes this recipient ID only" (section 5.3). */
export async function acknowledgeChunk(recipientId: Uint8Array, services: RelayServices): Promise<Reply> {
  const outcome = await services.store.change({ type: 'FACK', recipientId: recipientId.slice() });
  return outcome === 'done' ? OK : errorReply('AUTH');
}
