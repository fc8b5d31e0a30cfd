import * as z from 'zod';

import { durableEvent } from '../event-schemas.js';
import { method } from '../method.js';
import { ownOnly } from '../path-access.js';
import { done, EVENT_FILTER, limit, sequenceNumber } from '../param-schemas.js';

const subscription = z.string().min(1).max(50).meta({ description: 'Name of a subscription.' });

export const EVENT_METHODS = {
  'events.subscribe': method({
    summary: 'Begins to tell events',
    description:
      'Afterwards the agent sends notifications of the method `event`; their parameters are the event and `subscription`. ' +
      'With `since` the durable events after that number come first: none is left out, none comes twice. ' +
      'A client that does not read is disconnected with code 1013 and comes back with the last `seq` that it saw. ' +
      'A token with folders is told only of its own transfers.',
    scope: 'read',
    params: z.strictObject({
      since: sequenceNumber
        .exactOptional()
        .meta({ description: 'Number of the last event seen; from now on unless given.' }),
      ...EVENT_FILTER,
      positions: z.boolean().exactOptional().meta({
        description: 'Whether to tell now and then how far it is, while events come that it does not tell.',
      }),
    }),
    result: z.object({
      subscription,
      seq: sequenceNumber.meta({ description: 'Durable events with greater numbers follow.' }),
      lagged: z.boolean().meta({
        description:
          'Whether some of the events after `since` are not kept any more: look at everything anew.',
      }),
      oldest: sequenceNumber.meta({ description: 'Number of the oldest event kept; 0 if there is none.' }),
    }),
    errors: ['LIMIT_EXCEEDED'],
    handler: (_agent, params, caller) => ({ ...caller.subscriptions.subscribe(params) }),
  }),
  'events.unsubscribe': method({
    summary: 'Ends a subscription',
    description: 'No event of it comes after the answer.',
    scope: 'read',
    params: z.strictObject({ subscription }),
    result: done,
    errors: ['NOT_FOUND'],
    handler: (_agent, params, caller) => {
      caller.subscriptions.unsubscribe(params.subscription);
      return {};
    },
  }),
  'events.list': method({
    summary: 'Durable events of the past',
    description:
      'Oldest first. The next page begins after the last `seq` of this one. A token with folders is told only of its own transfers.',
    scope: 'read',
    params: z.strictObject({
      since: sequenceNumber.exactOptional().meta({ description: 'Only events with greater numbers.' }),
      ...EVENT_FILTER,
      limit,
    }),
    result: z.object({
      events: z.array(durableEvent).readonly(),
      lagged: z.boolean().meta({ description: 'Whether some of those asked for are not kept any more.' }),
      oldest: sequenceNumber,
      newest: sequenceNumber,
    }),
    handler: (agent, params, { token }) => agent.listEvents({ ...params, ...ownOnly(token) }),
  }),
} as const;
