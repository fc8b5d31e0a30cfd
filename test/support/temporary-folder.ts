import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

/** Temporary folders of one run of the tests begin with this, so that left-over ones are found. */
export const TEMPORARY_PREFIX = `xftp-agent-test-${process.env.XFTP_TEST_RUN ?? 'single'}-`;

/** A new temporary folder in `parent`, removed when the running test ends. */
export async function temporaryFolder(parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, TEMPORARY_PREFIX));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
