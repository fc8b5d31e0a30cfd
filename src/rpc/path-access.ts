import { realpath } from 'node:fs/promises';
import { basename, isAbsolute, relative, resolve, sep } from 'node:path';

import type { ReceiveParams, SendParams, TokenInfo } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';

/** Whether `path` is `folder` or lies in it, by their names alone. */
function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * The place that `path` leads to in the end, if it lies in one of the folders: links cannot lead out of them.
 *
 * @throws XftpError FORBIDDEN; SOURCE_MISSING when there is nothing at a path inside.
 */
async function confine(path: string, folders: readonly string[]): Promise<string> {
  const places = await Promise.all(folders.map((folder) => realpath(folder).catch(() => resolve(folder))));
  const inside = (place: string): boolean => places.some((folder) => isInside(folder, place));
  let place: string;
  try {
    place = await realpath(path);
  } catch (cause) {
    // What does not exist elsewhere is not told.
    const named = resolve(path);
    if (inside(named) || folders.some((folder) => isInside(resolve(folder), named)))
      throw new XftpError('SOURCE_MISSING', 'There is no such file or folder.', { cause });
    throw forbidden();
  }
  if (!inside(place)) throw forbidden();
  return place;
}

function forbidden(): XftpError {
  return new XftpError('FORBIDDEN', 'This token may not use that path: it lies outside of its folders.');
}

/** What to send, if the token may read it: a token with folders only what lies in them. */
export async function confineSend(params: SendParams, token: TokenInfo): Promise<SendParams> {
  if (token.folders === undefined) return params;
  const path = await confine(params.path, token.folders);
  // The name is that of the link, not that of the place it leads to.
  return { ...params, path, fileName: params.fileName ?? basename(params.path) };
}

/** What to receive, if the token may save there: a token with folders only into them, into the first unless told. */
export async function confineReceive(params: ReceiveParams, token: TokenInfo): Promise<ReceiveParams> {
  if (token.folders === undefined) return params;
  const directory = params.directory ?? token.folders[0];
  if (directory === undefined) throw forbidden();
  return { ...params, directory: await confine(directory, token.folders) };
}
