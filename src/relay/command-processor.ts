import {
  type Command,
  bytesEqual,
  decodeCommand,
  decodeTransmission,
  type ReceivedTransmission,
  VERSION_BLOCKED,
} from '../protocol/index.js';
import { authorizationScheme, verifyAuthorization, verifyDummyAuthorization } from '../crypto/index.js';
import { downloadChunk } from './commands/download-chunk.js';
import { errorReply, type PendingDownload, type Reply } from './commands/reply.js';
import { uploadChunk } from './commands/upload-chunk.js';
import type { ChunkRecord } from './record.js';
import type { RequestBody } from './request-body.js';
import type { CommandSession, ConnectionServices } from './services.js';

/** A reply and what is echoed around it. */
export interface Answer extends Reply {
  readonly correlationId: Uint8Array;
  readonly entityId: Uint8Array;
}

/** A download that has to wait for its turn. `begin` never rejects; whoever calls it has the download. */
export interface PendingAnswer {
  readonly begin: () => Promise<Answer>;
}

type Echoed = Pick<Answer, 'correlationId' | 'entityId'>;

const EMPTY = new Uint8Array();

/**
 * Carries out the command in a block. Never rejects. The order of the checks is that of the protocol reference,
 * section 4.4: what a client learns from an error depends on it.
 */
export async function processCommand(
  block: Uint8Array,
  body: RequestBody,
  session: CommandSession,
  services: ConnectionServices,
): Promise<Answer | PendingAnswer> {
  let transmission: ReceivedTransmission;
  try {
    transmission = decodeTransmission(block);
  } catch {
    return { ...errorReply('BLOCK'), correlationId: EMPTY, entityId: EMPTY };
  }
  const { correlationId, entityId } = transmission;
  if (!bytesEqual(transmission.sessionId, session.id))
    return { ...errorReply('SESSION'), correlationId, entityId: EMPTY };
  const { authorization } = transmission;
  if (authorization.length > 0 && authorizationScheme(authorization) === undefined)
    return { ...errorReply('BLOCK'), correlationId, entityId: EMPTY };
  try {
    const reply = await carryOut(transmission, body, session, services);
    if ('begin' in reply) return pendingAnswer(reply, transmission, services);
    return { ...reply, correlationId, entityId };
  } catch (error) {
    services.failed(error);
    return { ...errorReply('INTERNAL'), correlationId, entityId };
  }
}

/** What is echoed is copied: who waits must not keep the block alive. */
function pendingAnswer(
  { begin }: PendingDownload,
  { correlationId, entityId }: Echoed,
  services: ConnectionServices,
): PendingAnswer {
  const echoed = {
    correlationId: Uint8Array.from(correlationId),
    entityId: Uint8Array.from(entityId),
  };
  return {
    begin: async () => {
      try {
        return { ...(await begin()), ...echoed };
      } catch (error) {
        services.failed(error);
        return { ...errorReply('INTERNAL'), ...echoed };
      }
    },
  };
}

function carryOut(
  transmission: ReceivedTransmission,
  body: RequestBody,
  session: CommandSession,
  services: ConnectionServices,
): Promise<Reply | PendingDownload> | Reply {
  const command = decodeCommand(transmission.command);
  if (command.type === 'INVALID') return commandError(command.reason);
  const { authorization, entityId } = transmission;
  // "Presence rules" (section 4.3).
  switch (command.type) {
    case 'PING':
      if (authorization.length > 0 || entityId.length > 0) return commandError('HAS_AUTH');
      return { response: { type: 'PONG' } };
    case 'FNEW':
      if (authorization.length === 0) return commandError('NO_AUTH');
      if (entityId.length > 0) return commandError('HAS_AUTH');
      if (!isAuthorized(command.senderKey, transmission, session)) return errorReply('AUTH');
      return create(command, session, services);
    case 'FADD':
    case 'FPUT':
    case 'FDEL':
      if (authorization.length === 0 || entityId.length === 0) return commandError('NO_AUTH');
      return asSender(command, transmission, body, session, services);
    case 'FGET':
    case 'FACK':
      if (authorization.length === 0 || entityId.length === 0) return commandError('NO_AUTH');
      return asRecipient(command, transmission, session, services);
  }
}

async function create(
  { senderKey, size, digest, recipientKeys, password }: Extract<Command, { type: 'FNEW' }>,
  { client }: CommandSession,
  { owner }: ConnectionServices,
): Promise<Reply> {
  return { response: await owner.create({ senderKey, size, digest, recipientKeys, password }, client) };
}

async function asSender(
  command: Extract<Command, { type: 'FADD' | 'FPUT' | 'FDEL' }>,
  transmission: ReceivedTransmission,
  body: RequestBody,
  session: CommandSession,
  services: ConnectionServices,
): Promise<Reply> {
  const record = await services.owner.bySender(transmission.entityId);
  const refused = refuse(record, record?.senderKey, transmission, session);
  if (record === undefined || refused !== undefined) return refused ?? errorReply('AUTH');
  switch (command.type) {
    case 'FADD':
      return { response: await services.owner.addRecipients(record.senderId, command.recipientKeys) };
    case 'FPUT':
      return await uploadChunk(record, body, session, services);
    case 'FDEL':
      return { response: await services.owner.deleteChunk(record.senderId) };
  }
}

async function asRecipient(
  command: Extract<Command, { type: 'FGET' | 'FACK' }>,
  transmission: ReceivedTransmission,
  session: CommandSession,
  services: ConnectionServices,
): Promise<Reply | PendingDownload> {
  const entry = await services.owner.byRecipient(transmission.entityId);
  const refused = refuse(entry?.record, entry?.recipient.key, transmission, session);
  if (entry === undefined || refused !== undefined) return refused ?? errorReply('AUTH');
  switch (command.type) {
    case 'FGET':
      return downloadChunk(entry.record, command.key, services);
    case 'FACK':
      return { response: await services.owner.acknowledge(entry.recipient.id) };
  }
}

/** "Entity lookup (AUTH), status (BLOCKED, before any signature check), authorization (AUTH)" (section 4.4). */
function refuse(
  record: ChunkRecord | undefined,
  key: Uint8Array | undefined,
  transmission: ReceivedTransmission,
  session: CommandSession,
): Reply | undefined {
  if (record === undefined || key === undefined) {
    isAuthorized(undefined, transmission, session);
    return errorReply('AUTH');
  }
  switch (record.status.type) {
    case 'blocked':
      // "BLOCKED (v3) or AUTH" (section 5.3).
      if (session.version < VERSION_BLOCKED) return errorReply('AUTH');
      return { response: { type: 'ERR', error: { type: 'BLOCKED', info: record.status.info } } };
    case 'off':
      return errorReply('AUTH');
    case 'active':
      return isAuthorized(key, transmission, session) ? undefined : errorReply('AUTH');
  }
}

/** Without a key it takes as long, and is false. */
function isAuthorized(
  key: Uint8Array | undefined,
  transmission: ReceivedTransmission,
  session: CommandSession,
): boolean {
  const { authorization, authorized, correlationId } = transmission;
  const sessionKey = session.privateKey === undefined ? {} : { sessionKey: session.privateKey };
  const claim = { authorization, authorized, correlationId, ...sessionKey };
  try {
    return key === undefined ? verifyDummyAuthorization(claim) : verifyAuthorization({ ...claim, key });
  } catch {
    return false; // A registered X25519 key may be one that agrees on nothing.
  }
}

function commandError(
  reason: 'UNKNOWN' | 'SYNTAX' | 'NO_AUTH' | 'HAS_AUTH' | 'PROHIBITED' | 'NO_ENTITY',
): Reply {
  return { response: { type: 'ERR', error: { type: 'CMD', reason } } };
}
