import { createReadStream } from 'node:fs';

import {
  type FileDescription,
  formatServerAddress,
  humanCount,
  humanSize,
  isXftpError,
  MAX_DESCRIPTION_LENGTH,
  parseDescription,
  parseLink,
  XftpError,
} from '../protocol/index.js';
import { localFailure } from '../transfer/index.js';

/** Largest description file that is read, in bytes: the parser takes no more. */
const MAX_DESCRIPTION_FILE = MAX_DESCRIPTION_LENGTH;

/** The first two bytes of text in UTF-16, in hexadecimal digits. */
const BYTE_ORDER_MARKS: ReadonlyMap<string, string> = new Map([
  ['fffe', 'utf-16le'],
  ['feff', 'utf-16be'],
]);

/** What systems call standard input in paths. */
const STANDARD_INPUT = '/dev/stdin';

/** Whether an argument is a link rather than a path; blanks in front, as come with copied text, make no difference. */
export function isLink(argument: string): boolean {
  return /^\s*(?:https?:\/\/|simplex:)/i.test(argument);
}

/** The description in a file or link. */
export async function readDescription(argument: string): Promise<FileDescription> {
  if (isLink(argument)) return parseLink(argument);
  const text = await readDescriptionText(argument);
  try {
    return parseDescription(text);
  } catch (error) {
    if (!isXftpError(error)) throw error;
    throw new XftpError(error.code, `${argument} cannot be used. ${error.message}`, { cause: error });
  }
}

/** The text of a file that should be a description; what it says is not looked at. */
export async function readDescriptionText(path: string): Promise<string> {
  refuseSecrets(path);
  const text = await readTextFile(path);
  // Descriptions are text; the parser would name a line of it.
  if (/[\0\ufffd]/.test(text))
    throw new XftpError('INVALID_DESCRIPTION', `${path} is not a file description.`);
  return text;
}

/** Addresses and links given for a path hold secrets, which a message about a missing file would repeat. */
function refuseSecrets(argument: string): void {
  if (/^\s*xftp:/i.test(argument))
    throw new XftpError(
      'INVALID_ARGUMENT',
      'This is a server address: name a file description or a link instead.',
    );
  if (/#.{50}|desc=/s.test(argument))
    throw new XftpError(
      'INVALID_LINK',
      'This looks like a link whose beginning (https:// or simplex:) is missing.',
    );
}

/** How many parts of which size lie on which relays, as one sentence. */
export function describeParts({ chunks, size }: FileDescription): string {
  const relays = new Set(
    chunks.flatMap(({ replicas }) => replicas.map(({ server }) => formatServerAddress(server))),
  );
  return `${humanSize(size)} in ${humanCount(chunks.length, 'chunk')} on ${[...relays].join(', ')}.`;
}

async function readTextFile(path: string): Promise<string> {
  if (path === '') throw new XftpError('INVALID_ARGUMENT', 'The file description has no name.');
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    // The path works for pipes and files, and not when another program has given a socket.
    const input = path === STANDARD_INPUT ? process.stdin : createReadStream(path);
    for await (const piece of input) {
      pieces.push(piece as Buffer);
      length += (piece as Buffer).length;
      if (length > MAX_DESCRIPTION_FILE)
        throw new XftpError('INVALID_DESCRIPTION', `${path} is too large to be a file description.`);
    }
  } catch (error) {
    throw localFailure(error, path);
  }
  return decodeText(Buffer.concat(pieces));
}

/** Text in the encoding that its byte order mark names, as some editors save it; in UTF-8 without one. */
function decodeText(bytes: Buffer): string {
  const encoding = BYTE_ORDER_MARKS.get(bytes.subarray(0, 2).toString('hex')) ?? 'utf-8';
  return new TextDecoder(encoding).decode(bytes);
}
