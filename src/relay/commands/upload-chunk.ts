import { encodeBase64Url } from '../../protocol/index.js';
import { constantTimeEqual, randomBytes } from '../../crypto/index.js';
import { INCOMING_NAME_LENGTH } from '../body-storage.js';
import { isDiskFull } from '../file-errors.js';
import { IncomingBody } from '../incoming-body.js';
import type { Reservation } from '../quota.js';
import type { ChunkRecord } from '../record.js';
import type { ReadEnd, RequestBody } from '../request-body.js';
import type { CommandSession, RelayServices } from '../services.js';
import { errorReply, OK, type Reply } from './reply.js';

/**
 * FPUT: receives the chunk behind the block and stores it (protocol reference, section 5.3). Two uploads of one chunk
 * do not meet: each has a name of its own, and the first that is complete and right becomes the chunk's body.
 */
export async function uploadChunk(
  record: ChunkRecord,
  body: RequestBody,
  session: CommandSession,
  services: RelayServices,
): Promise<Reply> {
  if (record.place !== undefined) return await repeatUpload(record, body, services);
  const reservation = services.quota.reserve(record.size);
  if (reservation === undefined) return errorReply('QUOTA');
  const slot = services.uploads.take(session.connection);
  if (slot === undefined) {
    reservation.release();
    return errorReply('TIMEOUT');
  }
  const name = encodeBase64Url(randomBytes(INCOMING_NAME_LENGTH));
  const incoming = new IncomingBody(services.storage.receive(name), body);
  const sink = {
    accept(piece: Buffer): boolean {
      slot.received(piece.length);
      return incoming.accept(piece);
    },
  };
  let reply = errorReply('FILE_IO');
  try {
    const { uploadMs, uploadStallMs } = services.limits;
    // "Until exactly `size` bytes and end of stream": one byte more is asked for to see that there is none.
    const end = await body.read(record.size + 1, sink, uploadMs, uploadStallMs);
    const problem = receiveProblem(end, incoming.length, record.size);
    reply = problem ?? (await storeBody(record, name, incoming, reservation, session, services));
  } catch (error) {
    services.failed(error);
    // No room is no room, whether by the quota or by the disk: clients go to another relay.
    if (isDiskFull(error)) reply = errorReply('QUOTA');
  } finally {
    slot.free();
    await incoming.discard();
    reservation.release();
  }
  return reply;
}

/** "If the body was already committed: read and discard `size` bytes, answer OK (SIZE if the body ends early)." */
async function repeatUpload(record: ChunkRecord, body: RequestBody, services: RelayServices): Promise<Reply> {
  const end = await body.read(record.size, { accept: () => true }, services.limits.uploadMs);
  if (end !== 'complete') return receiveProblem(end, 0, record.size) ?? errorReply('SIZE');
  // The first upload may still wait for its line in the log, and may fail to get it.
  await services.store.settled();
  return OK;
}

function receiveProblem(end: ReadEnd, length: number, size: number): Reply | undefined {
  switch (end) {
    case 'timeout':
    case 'lost':
      return errorReply('TIMEOUT');
    case 'complete':
      return errorReply('SIZE');
    case 'short':
      return length === size ? undefined : errorReply('SIZE');
  }
}

/** A body of the right length: checks its digest, flushes it, and gives it to the chunk if it still needs one. */
async function storeBody(
  record: ChunkRecord,
  name: string,
  incoming: IncomingBody,
  reservation: Reservation,
  session: CommandSession,
  services: RelayServices,
): Promise<Reply> {
  if (!constantTimeEqual(incoming.digest(), record.digest)) return errorReply('DIGEST');
  await incoming.finish();
  const { senderId } = record;
  return await services.exclusive.run(encodeBase64Url(senderId), async () => {
    const current = await services.store.bySender(senderId);
    if (current?.status.type !== 'active') return errorReply('AUTH');
    if (current.place !== undefined) {
      // Another upload was first. The content is the same, only this copy is not needed.
      await services.store.settled();
      return OK;
    }
    return await commitBody(senderId, name, reservation, session, services);
  });
}

/** Nobody else touches the chunk meanwhile. The body is in its place before the record says so. */
async function commitBody(
  senderId: Uint8Array,
  name: string,
  reservation: Reservation,
  session: CommandSession,
  services: RelayServices,
): Promise<Reply> {
  const place = await services.storage.commit(name, senderId);
  try {
    if ((await services.store.change({ type: 'FPUT', senderId, place })) !== 'done')
      return errorReply('AUTH');
    services.statistics.count('filesUploaded');
    return OK;
  } catch (error) {
    services.failed(error);
    return errorReply('INTERNAL');
  } finally {
    // The change may have been made although the disk did not take its line: then the body is the chunk's.
    const stored = await services.store.bySender(senderId);
    if (stored?.place === place) {
      reservation.keep();
      services.registrations.giveBack(session.client);
    } else await services.storage.remove(place);
  }
}
