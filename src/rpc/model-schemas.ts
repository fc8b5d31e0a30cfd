import * as z from 'zod';

import type {
  AgentInfo,
  DescriptionsResult,
  Direction,
  FailureInfo,
  InspectResult,
  NetworkInfo,
  OnConflict,
  Page,
  RecipientDescription,
  RedirectPolicy,
  ServerAction,
  ServerInfo,
  ServerRole,
  ServerStats,
  ServerTestResult,
  ServerTestStep,
  TokenInfo,
  TokenScope,
  TransferInfo,
  TransferState,
  WaitingReason,
} from '../agent/index.js';
import { ISOLATION_LEVELS, SERVER_ROLES, TRANSFER_STATES } from '../agent/index.js';
import { FAILURE_CODES, type FailureCode, type FailureKind } from '../protocol/index.js';

import { schemaOf } from './schema-of.js';

// The model of the agent as schemas. `schemaOf` keeps each the same as its type.

/** Milliseconds since 1970. */
export const time = z.int().min(0).meta({ description: 'Milliseconds since 1970.' });
const count = z.int().min(0);
const bytes = z.int().min(0).meta({ description: 'Bytes.' });

export const direction = schemaOf<Direction>()(
  'Direction',
  'Which way a file goes.',
  z.enum(['send', 'receive']),
);

const transferStates = z.enum(TRANSFER_STATES);
export const transferState = schemaOf<TransferState>()(
  'TransferState',
  'State of a transfer.',
  transferStates,
);

export const waitingReason = schemaOf<WaitingReason>()(
  'WaitingReason',
  'Why a transfer waits: no network, no relay that does its part, no room on the disk.',
  z.enum(['offline', 'relay', 'disk']),
);

export const onConflict = schemaOf<OnConflict>()(
  'OnConflict',
  "What to do when the destination's name is taken.",
  z.enum(['rename', 'overwrite', 'fail']),
);

export const redirectPolicy = schemaOf<RedirectPolicy>()(
  'RedirectPolicy',
  'When to upload the description itself and give out a link to it: `auto` when a link would not fit a QR code.',
  z.enum(['auto', 'never', 'always']),
);

const failureCode = schemaOf<FailureCode>()(
  'FailureCode',
  'Stable name for one way to fail.',
  z.enum(FAILURE_CODES),
);

const failureKind = schemaOf<FailureKind>()(
  'FailureKind',
  'What a failure means for the transfer that met it.',
  z.enum([
    'invalid',
    'temporary',
    'identity',
    'refused',
    'gone',
    'corrupt',
    'permanent',
    'local',
    'cancelled',
  ]),
);

export const failureInfo = schemaOf<FailureInfo>()(
  'FailureInfo',
  'A failure as it is told to clients.',
  z.object({
    code: failureCode,
    kind: failureKind,
    temporary: z.boolean(),
    message: z.string().meta({ description: 'One sentence for a person.' }),
    hint: z.string().exactOptional().meta({ description: 'What to do about it.' }),
    wire: z.string().exactOptional().meta({ description: "The relay's own error text." }),
  }),
);

export const transferInfo = schemaOf<TransferInfo>()(
  'TransferInfo',
  'A transfer at one moment.',
  z.object({
    id: z.string(),
    direction,
    state: transferState,
    waitingReason: waitingReason.exactOptional(),
    clientRef: z.string().exactOptional().meta({ description: "The caller's own name for it." }),
    priority: z.int().min(-10).max(10).meta({ description: 'Higher goes first.' }),
    fileName: z.string().exactOptional().meta({ description: 'Absent until it is known.' }),
    fileSize: bytes.exactOptional().meta({ description: 'Bytes; absent until it is known.' }),
    encryptedSize: bytes.exactOptional().meta({ description: 'Bytes; absent until it is known.' }),
    path: z
      .string()
      .exactOptional()
      .meta({ description: 'Send: the source. Receive: the file, once it is completed.' }),
    bytesDone: bytes.meta({
      description: 'Bytes of the encrypted file that are done with, in whole chunks.',
    }),
    chunksDone: count,
    chunksTotal: count,
    createdAt: time,
    updatedAt: time,
    finishedAt: time.exactOptional(),
    deadline: time.meta({ description: 'When it fails if it is not completed, in milliseconds since 1970.' }),
    expiresAt: time
      .exactOptional()
      .meta({ description: 'Estimate of when relays drop the first chunk, in milliseconds since 1970.' }),
    limit: z.int().exactOptional().meta({ description: 'Its own limit in bytes per second.' }),
    isolation: z
      .enum(ISOLATION_LEVELS)
      .exactOptional()
      .meta({ description: 'What may share connections with it, if it asked for that.' }),
    run: z.int().min(1).meta({ description: 'From 1; each retry adds one.' }),
    failure: failureInfo.exactOptional().meta({
      description: 'Why it failed; while `waiting`, what it met last before that, if that is known.',
    }),
    recipients: z
      .object({ handedOut: count, spare: count })
      .exactOptional()
      .meta({ description: 'Only of sends.' }),
    replicas: z
      .object({
        wanted: count.meta({ description: 'On how many relays each chunk is to be.' }),
        required: count.meta({ description: 'On how many it must be for the send to be completed.' }),
        complete: count.meta({ description: 'On how many it is; the chunk with the fewest counts.' }),
      })
      .exactOptional()
      .meta({ description: 'Only of sends.' }),
    revoked: z
      .object({ at: time, pending: count.meta({ description: 'Deletions on relays that are still to do.' }) })
      .exactOptional()
      .meta({ description: 'Only of sends that were revoked.' }),
    approval: z
      .object({ servers: z.array(z.string()), reason: z.string() })
      .exactOptional()
      .meta({ description: 'Only while `awaiting_approval`: relays that are not known.' }),
  }),
);

export const transferPage = schemaOf<Page<TransferInfo>>()(
  'TransferPage',
  'A page of transfers, newest first.',
  z.object({
    items: z.array(transferInfo),
    nextCursor: z
      .string()
      .exactOptional()
      .meta({ description: 'Pass it as `cursor` to get the next page; absent on the last one.' }),
  }),
);

export const inspectResult = schemaOf<InspectResult>()(
  'InspectResult',
  'What a description or a link says.',
  z.object({
    party: z.enum(['recipient', 'sender']),
    encryptedSize: bytes,
    chunks: count,
    servers: z.array(z.object({ address: z.string(), bytes, known: z.boolean() })),
    redirect: z
      .object({ encryptedSize: bytes })
      .exactOptional()
      .meta({ description: 'Present for a redirect: the encrypted file that it leads to.' }),
  }),
);

const recipientDescription = schemaOf<RecipientDescription>()(
  'RecipientDescription',
  'What to hand to one recipient.',
  z.object({
    number: z.int().min(1),
    description: z.string().meta({ description: 'YAML.' }),
    link: z.string(),
    webLink: z.string(),
    redirect: z
      .boolean()
      .meta({ description: 'Whether the links lead to the description on a relay instead of carrying it.' }),
    fitsQrCode: z.boolean(),
  }),
);

export const descriptionsResult = schemaOf<DescriptionsResult>()(
  'DescriptionsResult',
  'The descriptions of a completed send.',
  z.object({
    sender: z.string().meta({ description: 'YAML; lets its holder delete the file.' }),
    recipients: z.array(recipientDescription),
    spare: count,
  }),
);

const serverRole = schemaOf<ServerRole>()(
  'ServerRole',
  'What a server is for: files are sent through it; downloads from it need no approval.',
  z.enum(SERVER_ROLES),
);

export const serverInfo = schemaOf<ServerInfo>()(
  'ServerInfo',
  'A relay to send through and to receive from without asking.',
  z.object({
    id: z.int(),
    address: z.string().meta({ description: 'Without password.' }),
    hasPassword: z.boolean(),
    enabled: z
      .boolean()
      .meta({ description: 'Whether files are sent through it, if that is one of its roles.' }),
    operator: z.string().exactOptional(),
    roles: z.array(serverRole),
    priority: z.int().meta({
      description: 'Of those that files can be sent through, the ones with the highest come first.',
    }),
    gate: z.enum(['open', 'closed', 'probing']).meta({
      description: 'Whether requests go there now, wait after failures, or it is being tried again.',
    }),
    retryAt: time.exactOptional(),
  }),
);

const serverTestStep = schemaOf<ServerTestStep>()(
  'ServerTestStep',
  'One step of a server test.',
  z.object({
    step: z.enum([
      'name',
      'proxy',
      'tcp',
      'tls',
      'identity',
      'handshake',
      'create',
      'upload',
      'download',
      'compare',
      'delete',
    ]),
    ok: z.boolean(),
    ms: z.number().min(0),
    failure: failureInfo.exactOptional(),
  }),
);

export const serverTestResult = schemaOf<ServerTestResult>()(
  'ServerTestResult',
  'Outcome of a server test; it ends with the first step that fails.',
  z.object({ address: z.string(), ok: z.boolean(), steps: z.array(serverTestStep) }),
);

const serverAction = schemaOf<ServerAction>()(
  'ServerAction',
  'What the agent asks of relays.',
  z.enum(['create', 'upload', 'download', 'delete', 'acknowledge']),
);

export const serverStats = schemaOf<ServerStats>()(
  'ServerStats',
  'What was measured about one server since the database was made.',
  z.object({
    address: z.string(),
    actions: z.array(
      z.object({
        action: serverAction,
        attempts: count,
        successes: count,
        bytes,
        meanMs: z.number().min(0).meta({ description: 'Mean over the successes.' }),
      }),
    ),
    failures: z.array(z.object({ kind: failureKind, count, lastAt: time })),
  }),
);

export const tokenScope = schemaOf<TokenScope>()(
  'TokenScope',
  'What a token may do: look, also start and steer transfers, or everything.',
  z.enum(['read', 'submit', 'admin']),
);

const TOKEN_SHAPE = {
  id: z.int(),
  name: z.string(),
  scope: tokenScope,
  folders: z
    .array(z.string())
    .exactOptional()
    .meta({ description: 'Folders that it may read from and save to; all of them if absent.' }),
  createdAt: time,
} as const;

export const tokenInfo = schemaOf<TokenInfo>()(
  'TokenInfo',
  'An access token, without its secret.',
  z.object(TOKEN_SHAPE),
);

export const createdToken = schemaOf<TokenInfo & { readonly token: string }>()(
  'CreatedToken',
  'A new access token with its secret, which is told only here.',
  z.object({ ...TOKEN_SHAPE, token: z.string() }),
);

export const networkInfo = schemaOf<NetworkInfo>()(
  'NetworkInfo',
  'What the agent believes about the network.',
  z.object({
    online: z.boolean(),
    source: z
      .enum(['client', 'observed'])
      .meta({ description: 'Whether a client said so, or the agent found out.' }),
    metered: z.boolean(),
  }),
);

export const agentInfo = schemaOf<AgentInfo>()(
  'AgentInfo',
  'The agent at one moment.',
  z.object({
    version: z.string(),
    pid: z.int(),
    startedAt: time,
    dataDir: z.string(),
    downloadsDir: z.string(),
    schemaVersion: z.int(),
    network: networkInfo,
    transfers: z.record(transferStates, count).meta({ description: 'Number of transfers in each state.' }),
    relayTasks: count.meta({
      description: 'Deletions and acknowledgements that relays have not been told yet.',
    }),
    embeddedRelay: z.string().exactOptional(),
    events: z.object({ oldest: z.int().min(0), newest: z.int().min(0) }).meta({
      description: 'Sequence numbers of the oldest event kept and of the newest; 0 if there is none.',
    }),
  }),
);
