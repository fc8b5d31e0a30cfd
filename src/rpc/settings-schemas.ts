import * as z from 'zod';

import { MAX_REPLICAS, type Settings } from '../agent/index.js';
import { schemaOf } from './schema-of.js';

/** How many relays have, or are to have, a chunk. */
export const replicaCount = z.int().min(1).max(MAX_REPLICAS);

/** The members of the settings, as they may be set. */
export const SETTINGS_SHAPE = {
  chunksPerServer: z.int().min(1).max(64).meta({ description: 'Most chunks under way on one server.' }),
  chunksTotal: z.int().min(1).max(256).meta({ description: 'Most chunks under way in all.' }),
  chunkSizes: z.enum(['normal', 'small']).meta({
    description:
      'How files are cut: `small` makes chunks of at most 256 KiB, for links that break often. They cost more round trips and longer links, and relays see how large the file is more closely.',
  }),
  uploadLimit: z.int().min(1).nullable().meta({ description: 'Bytes per second over all; null: no limit.' }),
  downloadLimit: z
    .int()
    .min(1)
    .nullable()
    .meta({ description: 'Bytes per second over all; null: no limit.' }),
  maxFileSize: z.int().min(1).meta({ description: 'Largest source, in bytes.' }),
  replicas: replicaCount.meta({
    description: 'On how many relays sends put each chunk unless they say otherwise.',
  }),
  deadlineHours: z
    .number()
    .positive()
    .max(8784)
    .meta({ description: 'How long a transfer is tried unless it says otherwise.' }),
  eventDays: z.number().positive().max(3660).meta({ description: 'Events are kept for so many days.' }),
  eventCount: z.int().min(1).max(10_000_000).meta({ description: 'Events are kept up to this number.' }),
  transferDays: z
    .number()
    .positive()
    .max(3660)
    .nullable()
    .meta({ description: 'Finished transfers are removed after so many days; null: kept.' }),
  approveRelays: z
    .enum(['known', 'all', 'ask'])
    .meta({ description: 'What `transfers.receive` does about unknown relays unless told.' }),
  socksProxy: z
    .string()
    .max(300)
    .nullable()
    .meta({ description: 'SOCKS5 proxy that relays are reached through, HOST:PORT; null: none.' }),
  socksMode: z
    .enum(['always', 'onion'])
    .meta({ description: 'Whether everything goes through the proxy, or only connections to onion hosts.' }),
  onionHosts: z.enum(['prefer', 'require', 'never']).meta({
    description: 'Which hosts of a relay are used when there is a proxy; with `require`, none without one.',
  }),
  isolation: z.enum(['server', 'transfer', 'chunk']).meta({
    description:
      'What shares connections to a relay, and with Tor circuits: all, one transfer, or one chunk.',
  }),
  coverTraffic: z.boolean().meta({
    description: 'Whether open connections carry requests at random times that mean nothing.',
  }),
} as const;

export const settings = schemaOf<Settings>()(
  'Settings',
  'What can be set while the agent runs.',
  z.object(SETTINGS_SHAPE),
);
