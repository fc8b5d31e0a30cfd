import * as z from 'zod';

import { FAILURE_CODES, failureKind, failureNumber } from '../protocol/index.js';

import { durableEvent, EVENT_MEANINGS, progressEvent } from './event-schemas.js';
import { sequenceNumber } from './param-schemas.js';
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
} from './json-rpc.js';
import { type AnyMethod, METHODS } from './method-table.js';

type Json = Readonly<Record<string, unknown>>;

/** Version of OpenRPC that the document is written in; its schemas are JSON Schema draft 7. */
const OPENRPC_VERSION = '1.3.2';

/** Errors of JSON-RPC itself, with what they mean here. */
const JSON_RPC_ERRORS: readonly { readonly code: number; readonly message: string }[] = [
  { code: PARSE_ERROR, message: 'The message is not JSON.' },
  {
    code: INVALID_REQUEST,
    message: 'The call is not one of JSON-RPC 2.0, or the batch is empty or too long.',
  },
  { code: METHOD_NOT_FOUND, message: 'There is no method of that name.' },
  { code: INVALID_PARAMS, message: 'The parameters are wrong; the message names them.' },
  { code: INTERNAL_ERROR, message: 'The agent met an error of its own; its log has more about it.' },
];

/** The contract as an OpenRPC document, made from the method table. */
export function openRpcDocument(version: string): Json {
  const components = new Components();
  const methods = Object.entries(METHODS).map(([name, method]) => methodObject(name, method, components));
  const event = components.schema(z.union([durableEvent, progressEvent]));
  return {
    openrpc: OPENRPC_VERSION,
    info: {
      title: 'xftp-agent',
      version,
      description:
        'JSON-RPC 2.0 over WebSocket, on loopback or a Unix socket. Parameters are given by name. ' +
        'Times are milliseconds since 1970, sizes are bytes.',
      license: { name: 'MIT' },
    },
    methods,
    components: {
      schemas: components.all(),
      errors: Object.fromEntries(FAILURE_CODES.map((code) => [code, errorObject(code)])),
    },
    'x-json-rpc-errors': JSON_RPC_ERRORS,
    'x-events': {
      method: 'event',
      description:
        'Notifications of the agent; their parameters are the event and the name of the subscription.',
      types: EVENT_MEANINGS,
      params: {
        allOf: [
          { type: 'object', properties: { subscription: { type: 'string' } }, required: ['subscription'] },
          event,
        ],
      },
    },
    'x-position': {
      method: 'position',
      description:
        'Notification of the agent: the subscription has told all that it tells up to number `seq`, which may be later ' +
        'than that of the last event. A client that keeps it as the last `seq` that it saw misses nothing.',
      params: components.schema(z.object({ subscription: z.string(), seq: sequenceNumber })),
    },
  };
}

function errorObject(code: (typeof FAILURE_CODES)[number]): Json {
  return { code: failureNumber(code), message: code, data: { code, kind: failureKind(code) } };
}

function methodObject(name: string, method: AnyMethod, components: Components): Json {
  const params = components.schema(method.params);
  const required = new Set(listOf(params['required']));
  // JSON Schema of an object has nothing else there.
  const properties = (params['properties'] ?? {}) as Readonly<Record<string, Json>>;
  return {
    name,
    summary: method.summary,
    description: method.description,
    tags: [{ name: name.split('.', 1)[0] }],
    paramStructure: 'by-name',
    params: Object.entries(properties)
      .sort(([a], [b]) => Number(required.has(b)) - Number(required.has(a)))
      .map(([member, schema]) => ({
        name: member,
        ...components.describe(schema),
        required: required.has(member),
        schema,
      })),
    result: { name: 'result', schema: components.schema(method.result) },
    errors: (method.errors ?? []).map((code) => ({ $ref: `#/components/errors/${code}` })),
    'x-scope': method.scope,
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

/** Collects the schemas that have a name while others are written that refer to them. */
class Components {
  readonly #schemas = new Map<string, Json>();

  /** JSON Schema that refers to the components. */
  schema(schema: z.ZodType): Json {
    const text = JSON.stringify(
      z.toJSONSchema(schema, { target: 'draft-7', io: 'input', override: simplify }),
    ).replaceAll('"#/definitions/', '"#/components/schemas/');
    // It was made from an object of JSON schemas just now.
    const json = JSON.parse(text) as Json & { readonly definitions?: Readonly<Record<string, Json>> };
    for (const [name, definition] of Object.entries(json.definitions ?? {}))
      this.#schemas.set(name, bare(definition));
    return bare(json);
  }

  /** What is said about the schema, or about the component that it refers to. */
  describe(schema: Json): { readonly description?: string } {
    const { description, $ref, allOf } = schema as { description?: unknown; $ref?: unknown; allOf?: unknown };
    if (typeof description === 'string') return { description };
    const [only]: readonly unknown[] = listOf(allOf);
    const reference = typeof $ref === 'string' ? $ref : undefined;
    const component = this.#schemas.get(reference?.split('/').at(-1) ?? '');
    if (component !== undefined) return this.describe(component);
    return isObject(only) ? this.describe(only) : {};
  }

  all(): Json {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** A schema as part of the document, where it needs no name and no definitions of its own. */
function bare(schema: Json): Json {
  const members = Object.entries(schema).filter(([key]) => !['$id', '$schema', 'definitions'].includes(key));
  return Object.fromEntries(members);
}

/** Leaves out what says nothing: the range of safe integers, and that arrays are not written to. */
function simplify({ jsonSchema }: { jsonSchema: Record<string, unknown> }): void {
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum'];
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum'];
  delete jsonSchema['readOnly'];
}
