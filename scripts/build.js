// Compiles src/ to dist/, then bundles the programs into dist/bin/ and marks them as executable.
//
// Bundled programs start in half the time: hundreds of small modules need not be found, read and linked, and a thread
// that only encrypts does not load what only the command line needs.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

/** The programs and the demo, which share most of their modules. */
const PROGRAMS = ['cli/xftp.js', 'cli/xftp-agent.js', 'cli/xftp-server.js', 'cli/demo.js'];
/** The thread and the process that programs look for beside them. On their own they hold only what they need. */
const THREADS = ['transfer/cipher-thread.js', 'relay/workers/connection-worker.js'];
/** Native modules, which cannot be bundled. */
const EXTERNAL = ['sodium-native', 'better-sqlite3'];
/** Bundled CommonJS modules ask for Node's own modules with `require`. */
const REQUIRE =
  "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '--project', join(root, 'tsconfig.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

const programs = join(root, 'dist', 'bin');
rmSync(programs, { recursive: true, force: true });
for (const entryPoints of [PROGRAMS, THREADS])
  await build({
    absWorkingDir: join(root, 'dist'),
    entryPoints,
    outdir: programs,
    entryNames: '[name]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: EXTERNAL,
    banner: { js: REQUIRE },
    sourcemap: true,
    minifyWhitespace: true,
    logLevel: 'warning',
  });

const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const program of Object.values(bin)) chmodSync(join(root, program), 0o755);
