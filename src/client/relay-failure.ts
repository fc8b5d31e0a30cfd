import {
  failureKind,
  type FailureCode,
  formatWireError,
  showWireError,
  type WireError,
  XftpError,
} from '../protocol/index.js';

/** What a command wanted from the relay; the same error means different things. */
export type Purpose = 'create' | 'upload' | 'download' | 'manage';

interface Meaning {
  readonly code: FailureCode;
  /** A sentence; `PLACE` stands for the relay. */
  readonly message: string;
}

const GONE: Meaning = {
  code: 'CHUNK_GONE',
  message:
    'PLACE no longer has a part of this file: it has expired, was deleted, or this description was used already.',
};

const UPLOAD_GONE: Meaning = {
  code: 'CHUNK_GONE',
  message: 'PLACE does not know a part of this file: it has expired or was deleted.',
};

const REFUSED: Meaning = {
  code: 'RELAY_REFUSED',
  message:
    'PLACE does not accept new files from you: it wants a password (xftp://FINGERPRINT:PASSWORD@HOST), ' +
    'the password is wrong, or uploads are switched off there.',
};

const BUSY: Meaning = {
  code: 'RELAY_TEMPORARY',
  message: 'PLACE had a problem of its own; trying later may help.',
};

const MISUNDERSTOOD: Meaning = {
  code: 'RELAY_ERROR',
  message: 'PLACE rejected a command that it should understand.',
};

/** What each error of a relay means (protocol reference, section 4.5), by purpose where it matters. */
function meaningOf(error: WireError, purpose: Purpose): Meaning {
  switch (error.type) {
    case 'AUTH':
      if (purpose === 'create') return REFUSED;
      return purpose === 'download' ? GONE : UPLOAD_GONE;
    case 'NO_FILE':
      return {
        code: 'CHUNK_MISSING',
        message: 'PLACE does not have a part of this file yet: the sender has not finished uploading it.',
      };
    case 'QUOTA':
      return {
        code: 'RELAY_FULL',
        message: 'PLACE is full: send through another relay, or try again later.',
      };
    case 'SIZE':
      return purpose === 'create'
        ? {
            code: 'RELAY_SIZE',
            message: 'PLACE does not take chunks of this size: send through another relay.',
          }
        : { code: 'CHUNK_SIZE', message: 'PLACE got another number of bytes than was sent.' };
    case 'DIGEST':
      return { code: 'CHUNK_DIGEST', message: 'PLACE got other bytes than were sent.' };
    case 'CRYPTO':
      return { code: 'CHUNK_TAG', message: 'PLACE could not decrypt what was sent.' };
    case 'BLOCKED':
      return {
        code: 'CHUNK_BLOCKED',
        message: `PLACE reports that its operator has blocked this file (reason: ${error.info.reason}).`,
      };
    case 'TIMEOUT':
    case 'INTERNAL':
    case 'FILE_IO':
    case 'HANDSHAKE':
    case 'SESSION':
    case 'BLOCK':
    case 'HAS_FILE':
    case 'DUPLICATE_':
      return BUSY;
    case 'OTHER':
      // For a reason that is not known here; what the relay said is told with it.
      if (error.text.startsWith('BLOCKED'))
        return {
          code: 'CHUNK_BLOCKED',
          message: `PLACE reports that its operator has blocked this file (it said ${showWireError(error)}).`,
        };
      return MISUNDERSTOOD;
    case 'CMD':
      return MISUNDERSTOOD;
  }
}

/** The failure that a relay's error means. `place` is the relay's `host:port`. */
export function relayFailure(error: WireError, purpose: Purpose, place: string): XftpError {
  const { code, message } = meaningOf(error, purpose);
  const wire = formatWireError(error);
  const detail =
    failureKind(code) === 'temporary' || code === 'RELAY_ERROR' ? ` (It said ${showWireError(error)}.)` : '';
  return new XftpError(code, message.replace('PLACE', `The relay ${place}`) + detail, { wire });
}
