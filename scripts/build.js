// Compiles src/ to dist/ and marks the programs as executable.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '--project', join(root, 'tsconfig.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const program of Object.values(bin)) {
  const path = join(root, program);
  if (existsSync(path)) chmodSync(path, 0o755);
}
