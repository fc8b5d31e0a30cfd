import { decodeUtf8 } from './bytes.js';
import { ByteReader, ByteWriter } from './encoding.js';
import { XftpError } from './failure.js';
import { decodePublicKey } from './key-encoding.js';
import { isPasswordText } from './password.js';
import type { CommandErrorReason } from './wire-error.js';

/** Most recipient keys in one FNEW or FADD: their count is one byte. */
export const MAX_RECIPIENT_KEYS = 255;

/** A client's command (protocol reference, section 5). Keys are SPKI. */
export type Command =
  | {
      readonly type: 'FNEW';
      readonly senderKey: Uint8Array;
      /** Size of the chunk in bytes. */
      readonly size: number;
      /** SHA-256 of the chunk: 32 bytes. */
      readonly digest: Uint8Array;
      /** 1 to 255 keys. */
      readonly recipientKeys: readonly Uint8Array[];
      /** The relay's password for new chunks, as raw bytes. */
      readonly password?: Uint8Array;
    }
  | { readonly type: 'FADD'; readonly recipientKeys: readonly Uint8Array[] }
  | { readonly type: 'FPUT' }
  | { readonly type: 'FDEL' }
  /** `key`: the recipient's X25519 key, made for this one download. */
  | { readonly type: 'FGET'; readonly key: Uint8Array }
  | { readonly type: 'FACK' }
  | { readonly type: 'PING' };

/** A command that cannot be read, with the reason the relay answers. */
export interface InvalidCommand {
  readonly type: 'INVALID';
  readonly reason: CommandErrorReason;
}

/** The command's bytes inside a transmission. */
export function encodeCommand(command: Command): Uint8Array {
  const writer = new ByteWriter().ascii(command.type);
  const keys = (recipientKeys: readonly Uint8Array[]): ByteWriter => {
    if (recipientKeys.length === 0)
      throw new XftpError('INVALID_ARGUMENT', 'A chunk needs at least one recipient key.');
    return writer.list(recipientKeys, (key) => writer.short(key));
  };
  switch (command.type) {
    case 'FNEW':
      writer.ascii(' ').short(command.senderKey).u32(command.size).short(command.digest);
      keys(command.recipientKeys).maybe(command.password, (password) => writer.short(password));
      break;
    case 'FADD':
      writer.ascii(' ');
      keys(command.recipientKeys);
      break;
    case 'FGET':
      writer.ascii(' ').short(command.key);
      break;
    case 'FPUT':
    case 'FDEL':
    case 'FACK':
    case 'PING':
      break;
  }
  return writer.finish();
}

/** Reads a command; never throws. */
export function decodeCommand(bytes: Uint8Array): Command | InvalidCommand {
  const space = bytes.indexOf(0x20);
  const tag = decodeUtf8(space < 0 ? bytes : bytes.subarray(0, space));
  if (!isCommandTag(tag)) return { type: 'INVALID', reason: 'UNKNOWN' };
  try {
    return decodeParameters(tag, space < 0 ? undefined : bytes.subarray(space + 1));
  } catch {
    return { type: 'INVALID', reason: 'SYNTAX' };
  }
}

const COMMAND_TAGS = ['FNEW', 'FADD', 'FPUT', 'FDEL', 'FGET', 'FACK', 'PING'] as const;

function isCommandTag(tag: string): tag is Command['type'] {
  return COMMAND_TAGS.some((known) => known === tag);
}

/** `parameters` are the bytes after the space behind the tag; undefined without a space. */
function decodeParameters(
  tag: Command['type'],
  parameters: Uint8Array | undefined,
): Command | InvalidCommand {
  const hasParameters = tag === 'FNEW' || tag === 'FADD' || tag === 'FGET';
  if (hasParameters !== (parameters !== undefined)) return { type: 'INVALID', reason: 'SYNTAX' };
  const reader = new ByteReader(parameters ?? new Uint8Array());
  const command = readCommand(tag, reader);
  reader.end();
  return command;
}

function readCommand(tag: Command['type'], reader: ByteReader): Command {
  const readKey = (): Uint8Array => {
    const key = reader.short();
    decodePublicKey(key);
    return key;
  };
  switch (tag) {
    case 'FNEW': {
      const command = {
        type: tag,
        senderKey: readKey(),
        size: reader.u32(),
        digest: reader.short(),
        recipientKeys: reader.nonEmptyList(readKey),
      };
      const password = reader.maybe(() => checkPassword(reader.short()));
      return password === undefined ? command : { ...command, password };
    }
    case 'FADD':
      return { type: tag, recipientKeys: reader.nonEmptyList(readKey) };
    case 'FGET': {
      const key = readKey();
      if (decodePublicKey(key).algorithm !== 'x25519')
        throw new XftpError('INVALID_KEY', 'A download needs an X25519 key.');
      return { type: tag, key };
    }
    case 'FPUT':
    case 'FDEL':
    case 'FACK':
    case 'PING':
      return { type: tag };
  }
}

function checkPassword(password: Uint8Array): Uint8Array {
  if (!isPasswordText(password))
    throw new XftpError('INVALID_ENCODING', 'A password holds a character that is not allowed.');
  return password;
}
