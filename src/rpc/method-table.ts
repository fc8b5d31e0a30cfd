import type * as z from 'zod';

import type { Method } from './method.js';
import { AGENT_METHODS } from './methods/agent-methods.js';
import { EVENT_METHODS } from './methods/event-methods.js';
import { SERVER_METHODS } from './methods/server-methods.js';
import { TOKEN_METHODS } from './methods/token-methods.js';
import { TRANSFER_METHODS } from './methods/transfer-methods.js';

/** Every method of the RPC by its name. All that is known about the contract follows from this table. */
export const METHODS = {
  ...AGENT_METHODS,
  ...EVENT_METHODS,
  ...TRANSFER_METHODS,
  ...SERVER_METHODS,
  ...TOKEN_METHODS,
} as const;

export type MethodName = keyof typeof METHODS;

/** What a caller gives. */
export type MethodParams<N extends MethodName> = z.input<(typeof METHODS)[N]['params']>;

/** What a caller gets. */
export type MethodResult<N extends MethodName> = z.output<(typeof METHODS)[N]['result']>;

/** All names, in the order of the contract. */
export const METHOD_NAMES = Object.keys(METHODS) as readonly MethodName[];

/** A method without its types, as it is called with what came over the wire. */
export type AnyMethod = Method<z.ZodType, z.ZodType>;

/** The method of that name, if there is one. */
export function findMethod(name: string): AnyMethod | undefined {
  // It is one of the table's own names, as was just seen.
  return Object.hasOwn(METHODS, name) ? METHODS[name as MethodName] : undefined;
}
