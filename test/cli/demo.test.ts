import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { runProgram } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectEmpty, makeFile } from '../support/transfers.js';

describe('The demo', () => {
  it('sends a file and receives it although the agent is killed twice, and leaves nothing behind', async () => {
    const TMPDIR = await temporaryFolder();
    const result = await runProgram('demo', [], { env: { TMPDIR } });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toMatch(/^5\. Compared {2}identical, byte for byte$/m);
    expect(result.stdout.match(/the agent is killed with SIGKILL/g)).toHaveLength(2);
    expect(result.stdout).toMatch(/^6\. Events {4}\d+, numbered without a gap:$/m);
    expect(result.stdout.match(/transfer\.completed/g)).toHaveLength(2);
    await expectEmpty(TMPDIR);
  });

  it('takes a file of yours and does not touch it', async () => {
    const TMPDIR = await temporaryFolder();
    const source = await makeFile(await temporaryFolder(), 100_000, 'mine.bin');
    const result = await runProgram('demo', [source], { env: { TMPDIR } });
    expect(result).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('identical, byte for byte'),
    });
    expect(result.stdout).toContain('mine.bin');
    await expectEmpty(TMPDIR);
  });

  it('says in one sentence that there is no such file, and leaves nothing behind', async () => {
    const TMPDIR = await temporaryFolder();
    await writeFile(join(TMPDIR, 'other'), '');
    const missing = join(TMPDIR, 'missing');
    const result = await runProgram('demo', [missing], { env: { TMPDIR: await temporaryFolder() } });
    expect(result.exitCode).toBe(41);
    expect(result.stderr).toBe(`${missing} does not exist.\n`);
  });
});
