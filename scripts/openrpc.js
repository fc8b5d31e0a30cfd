// Writes what follows from the RPC's method table: api-schema/openrpc.json and docs/rpc.md. With --check it only says
// whether they are as they should be.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { format, resolveConfig } from 'prettier';

import { openRpcDocument, RPC_LIMITS } from '../dist/rpc/index.js';
import { rpcPage } from './rpc-page.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const contract = openRpcDocument(version);
const texts = {
  'api-schema/openrpc.json': JSON.stringify(contract),
  'docs/rpc.md': rpcPage(contract, RPC_LIMITS),
};

const checking = process.argv.includes('--check');
for (const [name, text] of Object.entries(texts)) {
  const path = join(root, name);
  const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path });
  if (!checking) writeFileSync(path, formatted);
  else if (readIfThere(path) !== formatted) {
    console.error(`${name} does not follow from the sources any more. Run: npm run schema`);
    process.exitCode = 1;
  }
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
