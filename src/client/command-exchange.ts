import { constantTimeEqual, sign } from '../crypto/index.js';
import {
  BLOCK_SIZE,
  bytesEqual,
  type Command,
  decodeBareError,
  decodeResponse,
  decodeTransmission,
  encodeCommand,
  encodeTransmission,
  type Response,
  XftpError,
} from '../protocol/index.js';
import type { Exchange, ExchangeOptions, Session } from '../transport/index.js';
import { type Purpose, relayFailure } from './relay-failure.js';

/** A command about one entity, with the Ed25519 key that authorizes it. */
export interface AuthorizedCommand {
  readonly command: Command;
  readonly purpose: Purpose;
  /** Sender or recipient ID; empty for FNEW and PING. */
  readonly entityId: Uint8Array;
  /** PKCS8 of the key to sign with; none for PING. */
  readonly privateKey?: Uint8Array;
}

const NO_BYTES = new Uint8Array();

/**
 * Sends one command over a session and returns the relay's response, which is never ERR, with the number of bytes
 * that followed it into `io.into`.
 *
 * @throws XftpError of the transport, of the relay's error, or RELAY_PROTOCOL when the response makes no sense
 */
export async function exchangeCommand<T extends Response['type']>(
  session: Session,
  request: AuthorizedCommand,
  expected: T,
  io: Omit<Exchange, 'block'> & ExchangeOptions = {},
): Promise<{ response: Extract<Response, { type: T }>; received: number }> {
  const block = encodeRequest(session, request, io);
  const reply = await session.exchange({ ...io, block }, io);
  const response = readResponse(reply.block, session, request);
  if (response.type === 'ERR') throw relayFailure(response.error, request.purpose, session.place);
  if (!isType(response, expected))
    throw nonsense(session, `it answered ${request.command.type} with ${response.type}`);
  return { response, received: reply.received };
}

/** The command's block. A body that is not sent because of a failure here is released. */
function encodeRequest(
  session: Session,
  request: AuthorizedCommand,
  io: Omit<Exchange, 'block'>,
): Uint8Array {
  const { privateKey, entityId, command } = request;
  try {
    return encodeTransmission(
      { sessionId: session.sessionId, correlationId: NO_BYTES, entityId, command: encodeCommand(command) },
      privateKey === undefined ? undefined : (authorized) => sign(privateKey, authorized),
    );
  } catch (error) {
    io.onBodyReleased?.();
    throw error;
  }
}

function readResponse(block: Uint8Array, session: Session, request: AuthorizedCommand): Response {
  if (block.length !== BLOCK_SIZE)
    throw nonsense(session, `its answer has ${String(block.length)} bytes instead of ${String(BLOCK_SIZE)}`);
  try {
    const bare = decodeBareError(block);
    if (bare !== undefined) return { type: 'ERR', error: bare };
    const transmission = decodeTransmission(block);
    const response = decodeResponse(transmission.command);
    const isError = response.type === 'ERR';
    if (!isError && !constantTimeEqual(transmission.sessionId, session.sessionId))
      throw nonsense(session, 'its answer belongs to another session');
    // An official relay leaves out the ID when it cannot read the command.
    if (!bytesEqual(transmission.entityId, expectedEntityId(response, request)) && !isError)
      throw nonsense(session, 'its answer is about something else');
    return response;
  } catch (cause) {
    throw cause instanceof XftpError && cause.code === 'RELAY_PROTOCOL'
      ? cause
      : nonsense(session, 'its answer cannot be read', cause);
  }
}

/** Presence rules of responses (protocol reference, section 4.3). */
function expectedEntityId(response: Response, request: AuthorizedCommand): Uint8Array {
  return response.type === 'SIDS' || response.type === 'PONG' ? NO_BYTES : request.entityId;
}

function isType<T extends Response['type']>(
  response: Response,
  type: T,
): response is Extract<Response, { type: T }> {
  return response.type === type;
}

function nonsense(session: Session, what: string, cause?: unknown): XftpError {
  return new XftpError(
    'RELAY_PROTOCOL',
    `The relay ${session.place} does not keep to the protocol: ${what}.`,
    { cause },
  );
}
