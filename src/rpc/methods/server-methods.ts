import * as z from 'zod';

import { type AgentApi, SERVER_ROLES } from '../../agent/index.js';
import { formatServerAddress, parseServerAddress, PRESET_SERVERS, sameServer } from '../../protocol/index.js';
import { method } from '../method.js';
import { serverInfo, serverStats, serverTestResult } from '../model-schemas.js';
import { settings, SETTINGS_SHAPE } from '../settings-schemas.js';
import { done, entryId, exactlyOne, name, noParams, password, serverAddress } from '../param-schemas.js';

/** Who runs the preset relays. */
const PRESET_OPERATOR = 'SimpleX Chat';

/** The preset relays that are not in the server list yet. */
function missingPresets(agent: AgentApi): string[] {
  const listed = agent.listServers().map(({ address }) => parseServerAddress(address));
  return PRESET_SERVERS.filter((preset) => !listed.some((server) => sameServer(server, preset))).map(
    (preset) => formatServerAddress(preset),
  );
}

const serverRoles = z.array(z.enum(SERVER_ROLES)).max(2).meta({
  description:
    '`upload`: files are sent through it. `download-approved`: downloads from it need no approval. Both unless given.',
});
const serverPriority = z.int().min(-10).max(10).meta({
  description:
    'Of those that files can be sent through, the ones with the highest come first; 0 unless given.',
});

const optionalSetting = <T extends z.ZodType>(schema: T): z.ZodExactOptional<T> => z.exactOptional(schema);

export const SERVER_METHODS = {
  'servers.list': method({
    summary: 'The server list',
    description: 'Relays to send through and to receive from without asking, or one of the two.',
    scope: 'read',
    params: noParams,
    result: z.object({ servers: z.array(serverInfo).readonly() }),
    handler: (agent) => ({ servers: agent.listServers() }),
  }),
  'servers.add': method({
    summary: 'Adds relays to the server list',
    description: 'One by its address, or the preset relays of SimpleX that are not in the list yet.',
    scope: 'admin',
    params: z
      .strictObject({
        address: serverAddress.exactOptional(),
        preset: z.literal('simplex').exactOptional().meta({ description: 'Instead of an address.' }),
        operator: name
          .exactOptional()
          .meta({ description: 'Who runs it; replicas go to different operators.' }),
        enabled: z
          .boolean()
          .exactOptional()
          .meta({ description: 'Whether files are sent through it; true unless given.' }),
        roles: serverRoles.exactOptional(),
        priority: serverPriority.exactOptional(),
      })
      .refine(...exactlyOne('address', 'preset')),
    result: z.object({ servers: z.array(serverInfo).meta({ description: 'Those that were added.' }) }),
    errors: ['INVALID_ADDRESS', 'ILLEGAL_STATE'],
    handler: (agent, { address, preset, ...details }) => {
      if (address !== undefined) return { servers: [agent.addServer({ address, ...details })] };
      const added = preset === undefined ? [] : missingPresets(agent);
      return {
        servers: added.map((each) =>
          agent.addServer({ operator: PRESET_OPERATOR, ...details, address: each }),
        ),
      };
    },
  }),
  'servers.update': method({
    summary: 'Changes an entry of the server list',
    description: 'Absent members stay as they are.',
    scope: 'admin',
    params: z.strictObject({
      id: entryId,
      enabled: z.boolean().exactOptional(),
      operator: name.nullable().exactOptional().meta({ description: 'null: none.' }),
      password: password.nullable().exactOptional().meta({ description: 'null: none.' }),
      roles: serverRoles.exactOptional(),
      priority: serverPriority.exactOptional(),
    }),
    result: serverInfo,
    errors: ['NOT_FOUND', 'INVALID_ADDRESS'],
    handler: (agent, { id, ...change }) => agent.updateServer(id, change),
  }),
  'servers.remove': method({
    summary: 'Removes a relay from the server list',
    description: 'Transfers that use it already go on.',
    scope: 'admin',
    params: z.strictObject({ id: entryId }),
    result: done,
    errors: ['NOT_FOUND'],
    handler: (agent, { id }) => {
      agent.removeServer(id);
      return {};
    },
  }),
  'servers.test': method({
    summary: 'Tests a relay step by step',
    description:
      'Connects, and uploads, downloads and deletes a small chunk. A failing step is a result, not an error.',
    scope: 'admin',
    params: z.strictObject({ address: serverAddress }),
    result: serverTestResult,
    errors: ['INVALID_ADDRESS'],
    handler: (agent, { address }, { signal }) => agent.testServer(address, { signal }),
  }),
  'settings.get': method({
    summary: 'The settings',
    description: 'Those that can be set while the agent runs.',
    scope: 'read',
    params: noParams,
    result: settings,
    handler: (agent) => agent.getSettings(),
  }),
  'settings.set': method({
    summary: 'Changes settings',
    description: 'Absent members stay as they are. Answers all of them.',
    scope: 'admin',
    params: z.strictObject({
      chunksPerServer: optionalSetting(SETTINGS_SHAPE.chunksPerServer),
      chunksTotal: optionalSetting(SETTINGS_SHAPE.chunksTotal),
      chunkSizes: optionalSetting(SETTINGS_SHAPE.chunkSizes),
      uploadLimit: optionalSetting(SETTINGS_SHAPE.uploadLimit),
      downloadLimit: optionalSetting(SETTINGS_SHAPE.downloadLimit),
      maxFileSize: optionalSetting(SETTINGS_SHAPE.maxFileSize),
      replicas: optionalSetting(SETTINGS_SHAPE.replicas),
      deadlineHours: optionalSetting(SETTINGS_SHAPE.deadlineHours),
      eventDays: optionalSetting(SETTINGS_SHAPE.eventDays),
      eventCount: optionalSetting(SETTINGS_SHAPE.eventCount),
      transferDays: optionalSetting(SETTINGS_SHAPE.transferDays),
      approveRelays: optionalSetting(SETTINGS_SHAPE.approveRelays),
      socksProxy: optionalSetting(SETTINGS_SHAPE.socksProxy),
      socksMode: optionalSetting(SETTINGS_SHAPE.socksMode),
      onionHosts: optionalSetting(SETTINGS_SHAPE.onionHosts),
      isolation: optionalSetting(SETTINGS_SHAPE.isolation),
      coverTraffic: optionalSetting(SETTINGS_SHAPE.coverTraffic),
      // The compiler asks for each of them.
    } satisfies Readonly<Record<keyof typeof SETTINGS_SHAPE, z.ZodType>>),
    result: settings,
    errors: ['INVALID_ARGUMENT'],
    handler: (agent, change) => agent.setSettings(change),
  }),
  'stats.get': method({
    summary: 'What was measured about each relay',
    description: 'Since the database was made.',
    scope: 'read',
    params: noParams,
    result: z.object({ servers: z.array(serverStats).readonly() }),
    handler: (agent) => ({ servers: agent.stats() }),
  }),
} as const;
