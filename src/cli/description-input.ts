import { open } from 'node:fs/promises';

import {
  type FileDescription,
  isXftpError,
  parseDescription,
  parseLink,
  XftpError,
} from '../protocol/index.js';
import { localFailure } from '../transfer/index.js';

/** Largest description file that is read, in bytes: room for files of over 100 GB. */
const MAX_DESCRIPTION_FILE = 16 * 1024 * 1024;

/** Whether an argument is a link rather than a path. */
export function isLink(argument: string): boolean {
  return /^(?:https?:\/\/|simplex:)/i.test(argument);
}

/** The description in a file or link. */
export async function readDescription(argument: string): Promise<FileDescription> {
  if (isLink(argument)) return parseLink(argument);
  const text = await readTextFile(argument);
  try {
    return parseDescription(text);
  } catch (error) {
    if (!isXftpError(error)) throw error;
    throw new XftpError(error.code, `${argument} cannot be used. ${error.message}`, { cause: error });
  }
}

async function readTextFile(path: string): Promise<string> {
  try {
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      if (size > MAX_DESCRIPTION_FILE)
        throw new XftpError('INVALID_DESCRIPTION', `${path} is too large to be a file description.`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw localFailure(error, path);
  }
}
