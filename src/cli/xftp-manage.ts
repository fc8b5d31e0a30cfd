import { createWriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { randomBytes } from '../crypto/index.js';
import { type FileDescription, formatServerAddress, formatSizeText, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { deleteFile, localFailure } from '../transfer/index.js';
import type { ProxyRoute } from '../transport/index.js';
import { readDescription } from './description-input.js';
import type { Output } from './output.js';
import { withTransferSession } from './transfer-session.js';
import { offerDeletion } from './xftp-recv.js';

/** Bytes of randomness made at once by `rand`. */
const RANDOM_PIECE = 1024 * 1024;

/** `xftp del`: deletes a sent file from its relays. */
export async function runDelete(
  options: {
    readonly file: string;
    readonly attempts: number;
    readonly yes: boolean;
    readonly route?: ProxyRoute;
  },
  output: Output,
): Promise<void> {
  const description = await readDescription(options.file);
  await withTransferSession({ ...options, output }, ({ context }) =>
    deleteFile(description, context('Deleting')),
  );
  output.result('deleted', 'File deleted!', { description: options.file });
  await offerDeletion(options.file, options.yes, output);
}

/** `xftp info`: shows what a description says. */
export async function runInfo(from: string, output: Output): Promise<void> {
  const description = await readDescription(from);
  const servers = serverSizes(description);
  const lines = [
    `${description.party === 'sender' ? 'Sender' : 'Recipient'} file description`,
    `File download size: ${formatSizeText(description.size)}`,
    'File server(s):',
    ...servers.map(({ server, size }) => `${server}: ${formatSizeText(size)}`),
  ];
  const { redirect } = description;
  if (redirect !== undefined) lines.push(`Leads to a file of: ${formatSizeText(redirect.size)}`);
  output.result('info', lines.join('\n'), {
    party: description.party,
    size: description.size,
    chunks: description.chunks.length,
    servers,
    ...(redirect === undefined ? {} : { redirectSize: redirect.size }),
  });
}

/** `xftp rand`: makes a file with random content, for tests. */
export async function runRandom(path: string, size: number, output: Output): Promise<void> {
  if (path === '') throw new XftpError('INVALID_ARGUMENT', 'The file to create has no name.');
  try {
    await pipeline(Readable.from(randomPieces(size)), createWriteStream(path, { flags: 'wx' }));
  } catch (error) {
    throw errorCode(error) === 'ENOENT' ? missingFolder(dirname(path), error) : localFailure(error, path);
  }
  output.result('created', `File created: ${path}`, { path, size });
}

function missingFolder(folder: string, cause: unknown): XftpError {
  return new XftpError('SOURCE_MISSING', `The folder ${folder} does not exist: make it first.`, { cause });
}

function* randomPieces(size: number): Generator<Uint8Array> {
  for (let left = size; left > 0; left -= RANDOM_PIECE) yield randomBytes(Math.min(left, RANDOM_PIECE));
}

/** Bytes of chunk replicas on each server, in the order of the description. */
function serverSizes({ chunks }: FileDescription): { server: string; size: number }[] {
  const sizes = new Map<string, number>();
  for (const { size, replicas } of chunks)
    for (const { server } of replicas) {
      const address = formatServerAddress(server);
      sizes.set(address, (sizes.get(address) ?? 0) + size);
    }
  return [...sizes].map(([server, size]) => ({ server, size }));
}
