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
  return error.issues.map((issue) => {
    const where = issue.path.map(String).join('.');
    const what = reasonOf(issue);
    return where === '' ? what : `${where}: ${what}`;
  });
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

/** An issue in words for people. It repeats no values of the client. */
function reasonOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? Number(issue.minimum) === 1
          ? 'must not be empty'
          : `must have a length of at least ${String(issue.minimum)}`
        : `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${String(issue.minimum)}`;
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `must have a length of at most ${String(issue.maximum)}`
        : `must be at most ${String(issue.maximum)}`;
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? 'is missing'
        : `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'unrecognized_keys':
      return `unknown: ${issue.keys.join(', ')}`;
    default:
      return issue.message.replace(/^Invalid input: /, '');
  }
}
