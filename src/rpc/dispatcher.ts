import { performance } from 'node:perf_hooks';

import type { AgentApi, TokenScope } from '../agent/index.js';
import { isXftpError, XftpError } from '../protocol/index.js';

import { failureObject, INTERNAL_OBJECT, invalidParams, reasonsOf } from './call-errors.js';
import type { CallCounter } from './call-figures.js';
import { type ErrorObject, METHOD_NOT_FOUND, type Request } from './json-rpc.js';
import { type AnyMethod, findMethod } from './method-table.js';
import type { Caller } from './method.js';

/** What became of a call. */
export type Outcome = { readonly result: unknown } | { readonly error: ErrorObject };

/** Does calls; never throws. */
export type Dispatcher = (request: Request, caller: Caller) => Promise<Outcome>;

/** Takes note of a bug; what it is told may go to a log, never to a client. */
export type Report = (problem: string, cause: unknown) => void;

const SCOPE_RANK: Readonly<Record<TokenScope, number>> = { read: 0, submit: 1, admin: 2 };

/** The calls of all connections: each method is looked up, allowed, given checked parameters, run and counted. */
export function createDispatcher(agent: AgentApi, calls: CallCounter, report: Report): Dispatcher {
  return async (request, caller) => {
    const method = findMethod(request.method);
    if (method === undefined) {
      calls.count('unknown', String(METHOD_NOT_FOUND), 0);
      return { error: { code: METHOD_NOT_FOUND, message: 'There is no method of that name.' } };
    }
    const start = performance.now();
    const { label, outcome } = await run(method, request, caller);
    calls.count(request.method, label, (performance.now() - start) / 1000);
    return outcome;
  };

  async function run(
    method: AnyMethod,
    { method: name, params: given }: Request,
    caller: Caller,
  ): Promise<{ label: string; outcome: Outcome }> {
    try {
      requireScope(name, method.scope, caller);
      if (Array.isArray(given)) return refused(invalidParams(name, ['they are given by name']));
      const params = method.params.safeParse(given ?? {});
      if (!params.success) return refused(invalidParams(name, reasonsOf(params.error)));
      return { label: 'ok', outcome: { result: await method.handler(agent, params.data, caller) } };
    } catch (error) {
      if (isXftpError(error)) return { label: error.code, outcome: { error: failureObject(error) } };
      report(`The method ${name} met an error that was not foreseen.`, error);
      return refused(INTERNAL_OBJECT);
    }
  }
}

function refused(error: ErrorObject): { label: string; outcome: Outcome } {
  return { label: String(error.code), outcome: { error } };
}

/** @throws XftpError FORBIDDEN. */
function requireScope(name: string, scope: TokenScope, { token }: Caller): void {
  if (SCOPE_RANK[token.scope] < SCOPE_RANK[scope])
    throw new XftpError(
      'FORBIDDEN',
      `The method ${name} needs a token with the scope ${scope}; this one has ${token.scope}.`,
    );
}
