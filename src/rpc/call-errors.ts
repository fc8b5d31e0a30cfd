import type * as z from 'zod';

import { failureHint } from '../agent/index.js';
import { failureNumber, XftpError } from '../protocol/index.js';

import { type ErrorObject, INTERNAL_ERROR, INVALID_PARAMS } from './json-rpc.js';

/** Wrong members that one message names. */
const MAX_ISSUES = 5;
/** Characters of a message about parameters: names in it come from the client. */
const MAX_MESSAGE = 500;

/** The error object of a failure. */
export function failureObject(failure: XftpError): ErrorObject {
  return { code: failureNumber(failure.code), message: failure.message, data: failureData(failure) };
}

function failureData(failure: XftpError): Record<string, unknown> {
  const { code, kind, temporary, wire } = failure;
  const hint = failureHint(code);
  return {
    code,
    kind,
    temporary,
    ...(hint === undefined ? {} : { hint }),
    ...(wire === undefined ? {} : { wire }),
  };
}

/** What a client is told about a bug; `report` has the rest. */
export const INTERNAL_OBJECT: ErrorObject = {
  code: INTERNAL_ERROR,
  message: 'The agent met an error of its own; its log has more about it.',
};

/** The error object for parameters that do not fit; it has names of members, never values. */
export function invalidParams(method: string, reasons: readonly string[]): ErrorObject {
  const text = `The parameters of ${method} are wrong: ${reasons.slice(0, MAX_ISSUES).join('; ')}`;
  const message = `${text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text}.`;
  return { code: INVALID_PARAMS, message, data: failureData(new XftpError('INVALID_ARGUMENT', message)) };
}

/** The reasons why parameters do not fit. */
export function reasonsOf(error: z.ZodError): string[] {
  return error.issues.map(({ path, message }) => {
    const where = path.map(String).join('.');
    const what = message.replace(/^Invalid input: /, '');
    return where === '' ? what : `${where}: ${what}`;
  });
}
