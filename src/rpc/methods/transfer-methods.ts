import * as z from 'zod';

import { ISOLATION_LEVELS } from '../../agent/index.js';
import { method } from '../method.js';
import {
  descriptionsResult,
  direction,
  inspectResult,
  onConflict,
  redirectPolicy,
  time,
  transferInfo,
  transferPage,
  transferState,
} from '../model-schemas.js';
import {
  absolutePath,
  bytesPerSecond,
  cursor,
  description,
  done,
  exactlyOne,
  fileName,
  limit,
  link,
  name,
  priority,
  recipients,
  serverAddresses,
  transferId,
} from '../param-schemas.js';
import { replicaCount } from '../settings-schemas.js';
import { callerFor, confineReceive, confineSend, ownOnly, ownTransfer } from '../path-access.js';

const ofTransfer = z.strictObject({ id: transferId });
const deadline = time
  .exactOptional()
  .meta({ description: 'When it fails if it is not completed, in milliseconds since 1970.' });
const clientRef = name.exactOptional().meta({ description: "The caller's own name for it." });

/** What a transfer may ask of its connections. */
const CONNECTIONS = {
  limit: bytesPerSecond
    .exactOptional()
    .meta({ description: 'Bytes per second, besides what all transfers are held to.' }),
  isolation: z.enum(ISOLATION_LEVELS).exactOptional().meta({
    description:
      'What may share connections with it; the setting unless given. What shares least of the two holds.',
  }),
} as const;

export const TRANSFER_METHODS = {
  'transfers.send': method({
    summary: 'Sends a file',
    description: 'Answers when the transfer is in the database; the rest happens in the background.',
    scope: 'submit',
    params: z.strictObject({
      path: absolutePath.meta({ description: 'Absolute path of the source.' }),
      fileName: fileName
        .exactOptional()
        .meta({ description: "Name for the recipients; the source's unless given." }),
      recipients: recipients
        .exactOptional()
        .meta({ description: 'How many recipients to hand out descriptions for; 1 unless given.' }),
      servers: serverAddresses
        .exactOptional()
        .meta({ description: 'Server addresses, perhaps with password; the enabled servers unless given.' }),
      replicas: replicaCount.exactOptional().meta({
        description: 'On how many relays to put each chunk; the setting `replicas` unless given.',
      }),
      replicasRequired: replicaCount.exactOptional().meta({
        description:
          'The send is completed when each chunk is on so many relays, and the others follow; all of them unless given.',
      }),
      snapshot: z.boolean().exactOptional().meta({
        description:
          'Copy the source first, so that it may change or go at once; true unless given. A token with folders may not say false.',
      }),
      redirect: redirectPolicy.exactOptional(),
      priority: priority.exactOptional(),
      deadline,
      ...CONNECTIONS,
      clientRef,
    }),
    result: transferInfo,
    errors: [
      'INVALID_ARGUMENT',
      'FORBIDDEN',
      'SOURCE_MISSING',
      'NO_PERMISSION',
      'FILE_TOO_LARGE',
      'INVALID_ADDRESS',
      'DISK_FULL',
    ],
    handler: async (agent, params, { token }) =>
      await agent.send(await confineSend(params, token), callerFor(token)),
  }),
  'transfers.receive': method({
    summary: 'Receives a file',
    description: 'Of a description or a link. Answers when the transfer is in the database.',
    scope: 'submit',
    params: z
      .strictObject({
        description: description.exactOptional(),
        link: link.exactOptional(),
        directory: absolutePath.exactOptional().meta({
          description:
            "Absolute path of an existing folder; the agent's for downloads, made if need be, unless given.",
        }),
        fileName: fileName
          .exactOptional()
          .meta({ description: "The sender's name, made safe, unless given." }),
        onConflict: onConflict.exactOptional(),
        approveRelays: z.enum(['known', 'all', 'ask']).exactOptional().meta({
          description: "Whether relays that are not in the server list may see this machine's address.",
        }),
        acknowledge: z.boolean().exactOptional().meta({
          description:
            'Tell the relays when the file is there, which ends the use of the description; false unless given.',
        }),
        priority: priority.exactOptional(),
        deadline,
        ...CONNECTIONS,
        clientRef,
      })
      .refine(...exactlyOne('description', 'link')),
    result: transferInfo,
    errors: [
      'INVALID_ARGUMENT',
      'FORBIDDEN',
      'INVALID_DESCRIPTION',
      'INVALID_LINK',
      'SOURCE_MISSING',
      'NO_PERMISSION',
      'NOT_APPROVED',
    ],
    handler: async (agent, params, { token }) =>
      await agent.receive(await confineReceive(params, token), callerFor(token)),
  }),
  'transfers.inspect': method({
    summary: 'What a description or a link says',
    description: 'Asks no relay.',
    scope: 'read',
    params: z
      .strictObject({ description: description.exactOptional(), link: link.exactOptional() })
      .refine(...exactlyOne('description', 'link')),
    result: inspectResult,
    errors: ['INVALID_DESCRIPTION', 'INVALID_LINK'],
    handler: (agent, params) => agent.inspect(params),
  }),
  'transfers.get': method({
    summary: 'One transfer',
    description: 'As it is at this moment.',
    scope: 'read',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND'],
    handler: (agent, { id }, { token }) => agent.get(ownTransfer(agent, id, token)),
  }),
  'transfers.list': method({
    summary: 'Transfers, newest first',
    description: 'A page at a time. A token with folders sees and steers only its own transfers.',
    scope: 'read',
    params: z.strictObject({
      direction: direction.exactOptional(),
      state: transferState.exactOptional(),
      limit,
      cursor: cursor.exactOptional(),
    }),
    result: transferPage,
    errors: ['INVALID_ARGUMENT'],
    handler: (agent, params, { token }) => agent.list({ ...params, ...ownOnly(token) }),
  }),
  'transfers.pause': method({
    summary: 'Pauses a transfer',
    description: 'What is done stays done.',
    scope: 'submit',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.pause(ownTransfer(agent, id, token)),
  }),
  'transfers.resume': method({
    summary: 'Goes on with a paused transfer',
    description: 'With what it has done already.',
    scope: 'submit',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.resume(ownTransfer(agent, id, token)),
  }),
  'transfers.cancel': method({
    summary: 'Ends a transfer',
    description: 'Chunks of a send are deleted from their relays in the background.',
    scope: 'submit',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.cancel(ownTransfer(agent, id, token)),
  }),
  'transfers.retry': method({
    summary: 'Starts a failed or cancelled transfer anew',
    description: 'With what it has done already, and a new deadline.',
    scope: 'submit',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.retry(ownTransfer(agent, id, token)),
  }),
  'transfers.approve': method({
    summary: 'Lets a receive use unknown relays',
    description: "Of a transfer in `awaiting_approval`: the relays will see this machine's address.",
    scope: 'submit',
    params: ofTransfer,
    result: transferInfo,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.approve(ownTransfer(agent, id, token)),
  }),
  'transfers.remove': method({
    summary: 'Forgets a finished transfer',
    description: 'The received file stays.',
    scope: 'submit',
    params: z.strictObject({
      id: transferId,
      cancel: z
        .boolean()
        .exactOptional()
        .meta({ description: 'End it first if it is under way; false unless given.' }),
    }),
    result: done,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id, ...options }, { token }) => {
      agent.remove(ownTransfer(agent, id, token), options);
      return {};
    },
  }),
  'transfers.setPriority': method({
    summary: 'Changes the priority of a transfer',
    description: 'Transfers with a higher priority go first.',
    scope: 'submit',
    params: z.strictObject({ id: transferId, priority }),
    result: transferInfo,
    errors: ['NOT_FOUND'],
    handler: (agent, { id, priority: wanted }, { token }) =>
      agent.setPriority(ownTransfer(agent, id, token), wanted),
  }),
  'transfers.setLimit': method({
    summary: 'Holds a transfer to a rate of its own',
    description: 'At once, besides what all transfers are held to.',
    scope: 'submit',
    params: z.strictObject({
      id: transferId,
      bytesPerSecond: bytesPerSecond.nullable().meta({ description: 'null: no limit.' }),
    }),
    result: transferInfo,
    errors: ['NOT_FOUND'],
    handler: (agent, { id, bytesPerSecond: wanted }, { token }) =>
      agent.setLimit(ownTransfer(agent, id, token), wanted),
  }),
  'transfers.descriptions': method({
    summary: 'The descriptions of a completed send',
    description:
      'These are secrets: whoever has one can download the file; the sender description can delete it.',
    scope: 'submit',
    params: ofTransfer,
    result: descriptionsResult,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, { token }) => agent.descriptions(ownTransfer(agent, id, token)),
  }),
  'transfers.addRecipients': method({
    summary: 'Hands out descriptions for more recipients',
    description: 'Spare ones first; the relays are asked for more if there are not enough.',
    scope: 'submit',
    params: z.strictObject({ id: transferId, count: recipients }),
    result: descriptionsResult,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE', 'INVALID_ARGUMENT', 'CONNECT_FAILED'],
    handler: (agent, { id, count }, { token }) => agent.addRecipients(ownTransfer(agent, id, token), count),
  }),
  'transfers.revoke': method({
    summary: 'Deletes a sent file from its relays',
    description: 'In the background, and again until each relay has done it.',
    scope: 'submit',
    params: z
      .strictObject({
        id: transferId.exactOptional(),
        senderDescription: description
          .exactOptional()
          .meta({ description: "A sender's description as YAML, of a file that this agent need not know." }),
      })
      .refine(...exactlyOne('id', 'senderDescription')),
    result: z.object({ deletions: z.int().min(0).meta({ description: 'How many chunks will be deleted.' }) }),
    errors: ['NOT_FOUND', 'ILLEGAL_STATE', 'INVALID_DESCRIPTION'],
    handler: (agent, params, { token }) => {
      if (params.id !== undefined) ownTransfer(agent, params.id, token);
      return agent.revoke(params);
    },
  }),
} as const;
