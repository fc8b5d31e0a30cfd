import { isAbsolute } from 'node:path';

import * as z from 'zod';

import { MAX_DESCRIPTION_LENGTH, MAX_RECIPIENTS } from '../protocol/index.js';

import { EVENT_TYPES, eventType } from './event-schemas.js';

/** Ids of the agent are far shorter. */
const MAX_ID = 100;
/** PATH_MAX of Linux. */
const MAX_PATH = 4096;
/** NAME_MAX of the file systems in use, in bytes. */
const MAX_FILE_NAME = 255;
/** Enough for dozens of hosts; official addresses have about 140 characters. */
const MAX_ADDRESS = 1000;
/** More relays than anybody spreads a file over. */
const MAX_SERVERS = 100;
/** A link carries a deflated description in Base64, or one in percent encoding, which seldom doubles it. */
const MAX_LINK = 2 * MAX_DESCRIPTION_LENGTH;
/** Names that people give to things. */
const MAX_NAME = 200;
/** A page of this size is some hundred KiB. */
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;
/** Folders of a token: a handful, in practice one. */
const MAX_FOLDERS = 20;

/** For methods without parameters. */
export const noParams = z.strictObject({});
/** For methods whose result is that they have no error. */
export const done = z.object({});

const encodedLength = (text: string): number => new TextEncoder().encode(text).length;

export const transferId = z.string().min(1).max(MAX_ID).meta({ description: 'Id of a transfer.' });
export const entryId = z.int().min(0);
export const name = z.string().min(1).max(MAX_NAME);

export const absolutePath = z
  .string()
  .min(1)
  .max(MAX_PATH)
  .refine((path) => isAbsolute(path) && !path.includes('\0'), { error: 'must be an absolute path' });

export const fileName = z
  .string()
  .min(1)
  .max(MAX_FILE_NAME)
  .refine((text) => encodedLength(text) <= MAX_FILE_NAME, { error: 'must have at most 255 bytes' })
  .refine((text) => !/[/\0]/.test(text), { error: 'must be a name, not a path' });

export const serverAddress = z
  .string()
  .min(1)
  .max(MAX_ADDRESS)
  .meta({ description: 'Server address `xftp://…`, perhaps with password.' });
export const serverAddresses = z.array(serverAddress).min(1).max(MAX_SERVERS);
export const password = z.string().min(1).max(MAX_ADDRESS);

export const description = z.string().min(1).max(MAX_DESCRIPTION_LENGTH).meta({ description: 'YAML.' });
export const link = z
  .string()
  .min(1)
  .max(MAX_LINK)
  .meta({ description: '`simplex:/file#…` or `https://…#…`.' });

export const recipients = z.int().min(1).max(MAX_RECIPIENTS);
export const priority = z.int().min(-10).max(10).meta({ description: 'Higher goes first; 0 unless given.' });
/** As slow as anybody wants: below this a chunk takes days. */
export const bytesPerSecond = z.int().min(1);
export const limit = z.int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE);
export const cursor = z
  .string()
  .min(1)
  .max(MAX_NAME)
  .meta({ description: '`nextCursor` of the page before.' });
export const folders = z.array(absolutePath).min(1).max(MAX_FOLDERS);

/** What selects events. */
export const EVENT_FILTER = {
  types: z
    .array(eventType)
    .min(1)
    .max(EVENT_TYPES.length)
    .exactOptional()
    .meta({ description: 'Only events of these types.' }),
  transferId: transferId.exactOptional().meta({ description: 'Only events of this transfer.' }),
} as const;

/** Sequence number of an event, or 0 for "from the first one on". */
export const sequenceNumber = z.int().min(0);

/** Refinement: exactly one of the members is there. */
export function exactlyOne<K extends string>(
  ...keys: readonly K[]
): [(params: Partial<Readonly<Record<K, unknown>>>) => boolean, { readonly error: string }] {
  return [
    (params) => keys.filter((key) => params[key] !== undefined).length === 1,
    { error: `exactly one of ${keys.join(', ')} must be given` },
  ];
}
