import { type BlockingInfo, formatBlockingInfo, parseBlockingInfo } from './blocking-info.js';

const PLAIN_ERRORS = [
  'BLOCK',
  'SESSION',
  'HANDSHAKE',
  'AUTH',
  'SIZE',
  'QUOTA',
  'DIGEST',
  'CRYPTO',
  'NO_FILE',
  'HAS_FILE',
  'FILE_IO',
  'TIMEOUT',
  'INTERNAL',
  'DUPLICATE_',
] as const;

const COMMAND_ERRORS = ['UNKNOWN', 'SYNTAX', 'PROHIBITED', 'NO_AUTH', 'HAS_AUTH', 'NO_ENTITY'] as const;

/** An error without parameters. */
export type PlainErrorType = (typeof PLAIN_ERRORS)[number];
/** What is wrong with a command. */
export type CommandErrorReason = (typeof COMMAND_ERRORS)[number];

/** An error as it travels (protocol reference, section 4.5). `OTHER` is one this implementation does not know. */
export type WireError =
  | { readonly type: PlainErrorType }
  | { readonly type: 'CMD'; readonly reason: CommandErrorReason }
  | { readonly type: 'BLOCKED'; readonly info: BlockingInfo }
  | { readonly type: 'OTHER'; readonly text: string };

/** The error's text on the wire. */
export function formatWireError(error: WireError): string {
  switch (error.type) {
    case 'CMD':
      return `CMD ${error.reason}`;
    case 'BLOCKED':
      return `BLOCKED ${formatBlockingInfo(error.info)}`;
    case 'OTHER':
      return error.text;
    default:
      return error.type;
  }
}

/** Reads an error's text; one that is unknown or malformed becomes `OTHER`. */
export function parseWireError(text: string): WireError {
  const plain = PLAIN_ERRORS.find((type) => type === text);
  if (plain !== undefined) return { type: plain };
  if (text.startsWith('CMD ')) return parseCommandError(text);
  if (text.startsWith('BLOCKED ')) return parseBlocked(text);
  return { type: 'OTHER', text };
}

function parseCommandError(text: string): WireError {
  const name = text.slice('CMD '.length);
  const reason = COMMAND_ERRORS.find((known) => known === (name === 'NO_QUEUE' ? 'NO_ENTITY' : name));
  return reason === undefined ? { type: 'OTHER', text } : { type: 'CMD', reason };
}

function parseBlocked(text: string): WireError {
  try {
    return { type: 'BLOCKED', info: parseBlockingInfo(text.slice('BLOCKED '.length)) };
  } catch {
    return { type: 'OTHER', text };
  }
}

/** What a relay sends ends up on terminals and in logs: this many characters say enough. */
const MAX_SHOWN_LENGTH = 100;

/** The error's text for people: short, and without characters that could control a terminal. */
export function showWireError(error: WireError): string {
  return formatWireError(error)
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, MAX_SHOWN_LENGTH);
}
