import * as z from 'zod';

import { method } from '../method.js';
import { agentInfo, networkInfo } from '../model-schemas.js';
import { done, noParams } from '../param-schemas.js';

export const AGENT_METHODS = {
  'agent.info': method({
    summary: 'The agent at this moment',
    description: 'Version, folders, network, number of transfers by state, range of the events kept.',
    scope: 'read',
    params: noParams,
    result: agentInfo,
    handler: (agent) => agent.info(),
  }),
  'agent.shutdown': method({
    summary: 'Stops the agent',
    description: 'Answers, then stops. Transfers go on when the agent is started again.',
    scope: 'admin',
    params: noParams,
    result: done,
    handler: (agent, _params, caller) => {
      caller.afterAnswer(() => {
        agent.shutdown();
      });
      return {};
    },
  }),
  'agent.setNetwork': method({
    summary: 'Tells the agent about the network',
    description:
      'What a front end knows better. Absent members stay; `online: null` leaves it to the agent again to find out.',
    scope: 'admin',
    params: z.strictObject({
      online: z
        .boolean()
        .nullable()
        .exactOptional()
        .meta({ description: 'Whether there is a network; null: the agent finds out.' }),
      metered: z.boolean().exactOptional().meta({ description: 'Whether traffic is costly.' }),
    }),
    result: networkInfo,
    handler: (agent, params) => agent.setNetwork(params),
  }),
  'rpc.discover': method({
    summary: 'This contract',
    description: 'The OpenRPC document of all methods.',
    scope: 'read',
    params: noParams,
    result: z.record(z.string(), z.unknown()),
    handler: (_agent, _params, caller) => caller.discover(),
  }),
} as const;
