import { basename } from 'node:path';

import {
  type AgentApi,
  type Caller,
  confinePath,
  type ReceiveParams,
  type SendParams,
  type TokenInfo,
} from '../agent/index.js';
import { XftpError } from '../protocol/index.js';

/** What to send, if the token may read it: a token with folders only what lies in them. */
export async function confineSend(params: SendParams, token: TokenInfo): Promise<SendParams> {
  if (token.folders === undefined) return params;
  const path = await confinePath(params.path, token.folders);
  // The name is that of the link, not that of the place it leads to.
  return { ...params, path, fileName: params.fileName ?? basename(params.path) };
}

/** What to receive, if the token may save there: a token with folders only into them, into the first unless told. */
export async function confineReceive(params: ReceiveParams, token: TokenInfo): Promise<ReceiveParams> {
  if (token.folders === undefined) return params;
  const directory = params.directory ?? token.folders[0];
  if (directory === undefined) throw new XftpError('FORBIDDEN', 'This token has no folder to save to.');
  return { ...params, directory: await confinePath(directory, token.folders) };
}

/** Who calls, as the agent is told. */
export function callerFor({ id: tokenId, folders }: TokenInfo): Caller {
  return { tokenId, ...(folders === undefined ? {} : { folders }) };
}

/** For lists: a token with folders sees only transfers of its own, since others tell of places outside. */
export function ownOnly({ id: tokenId, folders }: TokenInfo): { readonly tokenId?: number } {
  return folders === undefined ? {} : { tokenId };
}

/** Whether the token may know of the transfer. */
export function mayKnow(agent: AgentApi, transferId: string, { id, folders }: TokenInfo): boolean {
  return folders === undefined || agent.ownerOf(transferId) === id;
}

/**
 * The id of a transfer that the token may see and steer.
 *
 * @throws XftpError NOT_FOUND, as for one that is not there.
 */
export function ownTransfer(agent: AgentApi, id: string, token: TokenInfo): string {
  if (!mayKnow(agent, id, token)) throw new XftpError('NOT_FOUND', `There is no transfer ${id}.`);
  return id;
}
