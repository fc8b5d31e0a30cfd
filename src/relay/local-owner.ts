import { addRecipients, createChunk } from './commands/create-chunk.js';
import { acknowledgeChunk, deleteChunk } from './commands/delete-chunk.js';
import type { RecordOwner } from './record-owner.js';
import type { OwnerServices } from './services.js';
import { Uploads } from './uploads.js';

/** The owner of the records in this process. */
export function localOwner(services: OwnerServices): RecordOwner {
  const { store, statistics } = services;
  const uploads = new Uploads(services);
  return {
    bySender: (senderId) => store.bySender(senderId),
    byRecipient: (recipientId) => store.byRecipient(recipientId),
    create: (chunk, client) => createChunk(chunk, client, services),
    addRecipients: (senderId, keys) => addRecipients(senderId, keys, services),
    beginUpload: (senderId, client) => uploads.begin(senderId, client),
    commitUpload: (ticket) => uploads.commit(ticket),
    abandonUpload: (ticket) => uploads.abandon(ticket),
    deleteChunk: (senderId) => deleteChunk(senderId, 'filesDeleted', services),
    acknowledge: (recipientId) => acknowledgeChunk(recipientId, services),
    countDownload: (senderId) => {
      statistics.downloaded(senderId);
    },
    settled: () => store.settled(),
  };
}
