import * as z from 'zod';

import { method } from '../method.js';
import { createdToken, tokenInfo, tokenScope } from '../model-schemas.js';
import { done, entryId, folders, name, noParams } from '../param-schemas.js';

export const TOKEN_METHODS = {
  'tokens.list': method({
    summary: 'The access tokens',
    description: 'Without their secrets.',
    scope: 'admin',
    params: noParams,
    result: z.object({ tokens: z.array(tokenInfo).readonly() }),
    handler: (agent) => ({ tokens: agent.listTokens() }),
  }),
  'tokens.create': method({
    summary: 'Makes an access token',
    description: 'Its secret is told only in this answer.',
    scope: 'admin',
    params: z.strictObject({
      name: name.meta({ description: 'What it is for.' }),
      scope: tokenScope,
      folders: folders
        .exactOptional()
        .meta({ description: 'Folders that it may read from and save to; all of them unless given.' }),
    }),
    result: createdToken,
    errors: ['INVALID_ARGUMENT'],
    handler: (agent, params) => agent.createToken(params),
  }),
  'tokens.revoke': method({
    summary: 'Revokes an access token',
    description: 'At once: its connections get nothing done any more, and are closed with code 1008.',
    scope: 'admin',
    params: z.strictObject({ id: entryId }),
    result: done,
    errors: ['NOT_FOUND', 'ILLEGAL_STATE'],
    handler: (agent, { id }, caller) => {
      agent.revokeToken(id);
      caller.disconnectToken(id);
      return {};
    },
  }),
} as const;
