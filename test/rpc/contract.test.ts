import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';

import { FAILURE_CODES, failureNumber } from '#src/protocol/index.js';
import { METHODS, openRpcDocument } from '#src/rpc/index.js';

import { PACKAGE_FOLDER } from '../support/program.js';

const run = promisify(execFile);
// Their types do not know what they export.
const require = createRequire(import.meta.url);
const { jsonSchema } = require('@json-schema-tools/meta-schema') as { jsonSchema: object };
const { openrpcDocument } = require('@open-rpc/meta-schema') as { openrpcDocument: object };

interface Contract {
  readonly methods: readonly {
    readonly name: string;
    readonly params: readonly { readonly name: string; readonly schema: object }[];
    readonly result: { readonly schema: object };
  }[];
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

async function checkedIn(): Promise<Contract> {
  return JSON.parse(await readFile(join(PACKAGE_FOLDER, 'api-schema/openrpc.json'), 'utf8')) as Contract;
}

describe('The contract', () => {
  it('that is checked in, and the page about it, are what the sources say', async () => {
    const script = join(PACKAGE_FOLDER, 'scripts/openrpc.js');
    const { stderr } = await run(process.execPath, [script, '--check'], { cwd: PACKAGE_FOLDER });
    expect(stderr).toBe('');
  });

  it('is valid OpenRPC', async () => {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    ajv.addMetaSchema(jsonSchema, 'https://meta.json-schema.tools/');
    ajv.addSchema(jsonSchema, 'https://meta.json-schema.tools');
    const validate = ajv.compile(openrpcDocument);
    validate(await checkedIn());
    expect(validate.errors).toBeNull();
    validate({ ...(await checkedIn()), methods: [{ name: 'x' }] });
    expect(validate.errors).not.toBeNull();
  });

  it('has schemas that can be used, with every reference in the document', async () => {
    const contract = await checkedIn();
    const ajv = new Ajv({ strict: false });
    ajv.addSchema({ $id: 'contract', components: contract.components });
    const compile = (schema: object): void => {
      ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"contract#/')) as object);
    };
    for (const { params, result } of contract.methods)
      for (const { schema } of [...params, result]) compile(schema);
    for (const schema of Object.values(contract.components.schemas)) compile(schema);
    expect(contract.methods.map(({ name }) => name)).toEqual(Object.keys(METHODS));
  });

  it('has one number for each failure, but for those of unreadable bytes', () => {
    const numbers = FAILURE_CODES.map(failureNumber).filter((number) => number !== 2);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(FAILURE_CODES.filter((code) => failureNumber(code) === 2)).toHaveLength(5);
  });

  it('is the same each time it is made', () => {
    expect(JSON.stringify(openRpcDocument('1'))).toBe(JSON.stringify(openRpcDocument('1')));
  });
});
