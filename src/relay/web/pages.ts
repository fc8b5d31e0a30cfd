import { constants } from 'node:fs';
import { lstat, open, readdir, realpath } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { XftpError } from '../../protocol/index.js';
import { describeFileError } from '../file-errors.js';

/** One file of the web pages, as it is sent. */
export interface Page {
  readonly contentType: string;
  readonly content: Buffer;
  /** The same content compressed, for types that become smaller by it. */
  readonly gzipped: Buffer | undefined;
}

/** Pages by their paths. */
export type Pages = ReadonlyMap<string, Page>;

/** Where a browser's pages come from when there are none. */
export const NO_PAGES: Pages = new Map();

/** All pages together, in bytes: they are held in memory. A site with all its scripts and pictures has a tenth. */
const MAX_SITE_BYTES = 64 * 1024 * 1024;
/** Files and folders of a site: more is a path that was not meant. */
const MAX_SITE_FILES = 10_000;

const DEFAULT_TYPE = 'application/octet-stream';
/** By the end of a file's name. */
const TYPES: ReadonlyMap<string, { readonly contentType: string; readonly compress: boolean }> = new Map([
  ['.html', { contentType: 'text/html', compress: true }],
  ['.css', { contentType: 'text/css', compress: true }],
  ['.js', { contentType: 'text/javascript', compress: true }],
  ['.svg', { contentType: 'image/svg+xml', compress: true }],
  ['.json', { contentType: 'application/json', compress: true }],
  ['.txt', { contentType: 'text/plain', compress: false }],
  ['.png', { contentType: 'image/png', compress: false }],
  ['.jpg', { contentType: 'image/jpeg', compress: false }],
  ['.jpeg', { contentType: 'image/jpeg', compress: false }],
  ['.gif', { contentType: 'image/gif', compress: false }],
  ['.webp', { contentType: 'image/webp', compress: false }],
  ['.ico', { contentType: 'image/vnd.microsoft.icon', compress: false }],
  ['.woff', { contentType: 'font/woff', compress: false }],
  ['.woff2', { contentType: 'font/woff2', compress: false }],
  ['.wasm', { contentType: 'application/wasm', compress: false }],
  ['.webmanifest', { contentType: 'application/manifest+json', compress: false }],
]);

/**
 * Reads the web pages in a folder into memory, so that a request touches no file: no path leads out of the folder, and
 * no number of requests opens more files. Hidden files, and links to elsewhere, are not pages.
 *
 * @throws XftpError INVALID_CONFIG for a folder that is too large; else as reading fails
 */
export async function readPages(folder: string): Promise<Pages> {
  const pages = new Map<string, Page>();
  const left = { bytes: MAX_SITE_BYTES, files: MAX_SITE_FILES };
  try {
    await readFolder(await realpath(folder), '/', pages, left);
  } catch (error) {
    throw describeFileError(
      error,
      `The web pages in ${folder} cannot be read`,
      'make the folder, or take static_path out of [WEB]',
    );
  }
  return pages;
}

async function readFolder(
  folder: string,
  webPath: string,
  pages: Map<string, Page>,
  left: { bytes: number; files: number },
): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    left.files -= 1;
    if (left.files < 0) throw tooLarge(`more than ${String(MAX_SITE_FILES)} files`);
    if (entry.isDirectory()) await readFolder(path, `${webPath}${entry.name}/`, pages, left);
    else if (entry.isFile()) {
      const content = await readPage(path, left.bytes);
      left.bytes -= content.length;
      pages.set(webPath + entry.name, await makePage(entry.name, content));
    }
  }
}

/** A name that has become a link or a pipe meanwhile is an error, not a way out or a wait without end. */
async function readPage(path: string, most: number): Promise<Buffer> {
  if ((await lstat(path)).size > most) throw tooLarge(`more than ${String(MAX_SITE_BYTES / 1024 ** 2)} MiB`);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

async function makePage(name: string, content: Buffer): Promise<Page> {
  const type = TYPES.get(extname(name).toLowerCase());
  const contentType = type?.contentType ?? DEFAULT_TYPE;
  const gzipped = type?.compress === true ? await promisify(gzip)(content) : undefined;
  return { contentType, content, gzipped };
}

/**
 * Finds the page of a request's path by the reference's rules: `index.html` of folders, and `/.well-known/` is the folder
 * `well-known` (section 2.4). Undefined when there is none.
 */
export function findPage(pages: Pages, requested: string): Page | undefined {
  const path = decodePath(requested)?.replace(/^\/\.well-known\//, '/well-known/');
  if (path === undefined) return undefined;
  return path.endsWith('/')
    ? pages.get(`${path}index.html`)
    : (pages.get(path) ?? pages.get(`${path}/index.html`));
}

function decodePath(requested: string): string | undefined {
  try {
    return decodeURIComponent(requested.replace(/[?#].*$/s, ''));
  } catch {
    return undefined; // Not what a percent sign may stand before.
  }
}

function tooLarge(what: string): XftpError {
  return new XftpError(
    'INVALID_CONFIG',
    `The folder of web pages holds ${what}; set static_path in [WEB] to the right one.`,
  );
}
