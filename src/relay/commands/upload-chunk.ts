import { constantTimeEqual } from '../../crypto/index.js';
import { isDiskFull } from '../file-errors.js';
import { IncomingBody } from '../incoming-body.js';
import type { ChunkRecord } from '../record.js';
import { type ReadEnd, type RequestBody, uploadPace } from '../request-body.js';
import type { CommandSession, ConnectionServices } from '../services.js';
import type { UploadSlot } from '../upload-slots.js';
import { errorReply, OK, type Reply } from './reply.js';

/** FPUT: receives the chunk behind the block and stores it (protocol reference, section 5.3). */
export async function uploadChunk(
  record: ChunkRecord,
  body: RequestBody,
  session: CommandSession,
  services: ConnectionServices,
): Promise<Reply> {
  if (record.place !== undefined) return await repeatUpload(record, body, services);
  const { owner, uploads } = services;
  const start = await owner.beginUpload(record.senderId, session.client);
  if ('refusal' in start) return { response: start.refusal };
  const { ticket } = start;
  const slot = uploads.take(session.connection);
  if (slot === undefined) {
    await owner.abandonUpload(ticket);
    return errorReply('TIMEOUT');
  }
  try {
    const problem = await receiveBody(ticket, record, body, slot, services);
    if (problem === undefined) return { response: await owner.commitUpload(ticket) };
    await owner.abandonUpload(ticket);
    return problem;
  } finally {
    slot.free();
  }
}

/** "If the body was already committed: read and discard `size` bytes, answer OK (SIZE if the body ends early)." */
async function repeatUpload(
  record: ChunkRecord,
  body: RequestBody,
  { owner, limits }: ConnectionServices,
): Promise<Reply> {
  const end = await body.read(record.size, { accept: () => true }, uploadPace(limits));
  if (end !== 'complete') return receiveProblem(end, 0, record.size) ?? errorReply('SIZE');
  // The first upload may still wait for its line in the log, and may fail to get it.
  await owner.settled();
  return { response: OK };
}

/** Receives a body to its end; afterwards it is complete and right, or there is a problem and nothing is left of it. */
async function receiveBody(
  name: string,
  { size, digest }: ChunkRecord,
  body: RequestBody,
  slot: UploadSlot,
  { storage, limits, failed }: ConnectionServices,
): Promise<Reply | undefined> {
  const incoming = new IncomingBody(storage.receive(name), body);
  const sink = {
    accept(piece: Buffer): boolean {
      slot.received(piece.length);
      return incoming.accept(piece);
    },
  };
  let problem: Reply | undefined;
  try {
    // "Until exactly `size` bytes and end of stream": one byte more is asked for to see that there is none.
    const end = await body.read(size + 1, sink, uploadPace(limits));
    problem = receiveProblem(end, incoming.length, size);
    if (problem === undefined && !constantTimeEqual(incoming.digest(), digest))
      problem = errorReply('DIGEST');
    if (problem === undefined) await incoming.finish();
  } catch (error) {
    failed(error);
    // No room is no room, whether by the quota or by the disk: clients go to another relay.
    problem = errorReply(isDiskFull(error) ? 'QUOTA' : 'FILE_IO');
  }
  if (problem !== undefined) await incoming.discard();
  return problem;
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
