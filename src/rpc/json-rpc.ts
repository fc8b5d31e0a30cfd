// JSON-RPC 2.0 as text: what comes in, what goes out.

/** What a client gave as the id of a call. */
export type RequestId = string | number | null;

/** One call; without an id it is a notification and gets no answer. */
export interface Request {
  readonly method: string;
  readonly params: unknown;
  readonly id?: RequestId;
}

/** The `error` of an answer. */
export interface ErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** An answer. */
export type Answer =
  | { readonly jsonrpc: '2.0'; readonly id: RequestId; readonly result: unknown }
  | { readonly jsonrpc: '2.0'; readonly id: RequestId; readonly error: ErrorObject };

/** A message as its parts: calls, or at once the answers to what is none. */
export interface Message {
  readonly batch: boolean;
  readonly parts: readonly (Request | Answer)[];
}

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;

/** Ids are sent back, so they are bounded. */
const MAX_ID_LENGTH = 200;
/** Names of methods are sent back too. */
const MAX_METHOD_LENGTH = 200;

/** The answer to a call that failed. */
export function errorAnswer(id: RequestId, error: ErrorObject): Answer {
  return { jsonrpc: '2.0', id, error };
}

/** Whether a part of a message is answered already, since it is no call. */
export function isAnswer(part: Request | Answer): part is Answer {
  return 'jsonrpc' in part;
}

/** Reads a message. Whatever it is, the result says what to do and to answer. */
export function readMessage(text: string, batchSize: number): Message {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return alone(errorAnswer(null, { code: PARSE_ERROR, message: 'The message is not JSON.' }));
  }
  if (!Array.isArray(value)) return alone(readRequest(value));
  if (value.length === 0) return alone(invalidRequest(null, 'The batch is empty.'));
  if (value.length > batchSize)
    return alone(invalidRequest(null, `A batch has at most ${String(batchSize)} calls.`));
  return { batch: true, parts: value.map(readRequest) };
}

function alone(part: Request | Answer): Message {
  return { batch: false, parts: [part] };
}

function invalidRequest(id: RequestId, message: string): Answer {
  return errorAnswer(id, { code: INVALID_REQUEST, message });
}

function isRequestId(id: unknown): id is RequestId {
  return (
    id === null ||
    (typeof id === 'number' && Number.isFinite(id)) ||
    (typeof id === 'string' && id.length <= MAX_ID_LENGTH)
  );
}

function readRequest(value: unknown): Request | Answer {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return invalidRequest(null, 'A call is a JSON object.');
  const members = value as Readonly<Record<string, unknown>>; // An object that JSON.parse made is nothing else.
  const known = isRequestId(members['id']) ? members['id'] : null;
  if ('id' in members && !isRequestId(members['id']))
    return invalidRequest(null, 'The id of a call is a number, a short string or null.');
  if (members['jsonrpc'] !== '2.0') return invalidRequest(known, 'The member "jsonrpc" must be "2.0".');
  const method = members['method'];
  const params = members['params'];
  if (typeof method !== 'string' || method.length > MAX_METHOD_LENGTH)
    return invalidRequest(known, 'The member "method" must be the name of a method.');
  if (params !== undefined && (typeof params !== 'object' || params === null))
    return invalidRequest(known, 'The member "params" must be an object.');
  return { method, params, ...('id' in members ? { id: known } : {}) };
}
