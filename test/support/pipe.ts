import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';

import { onTestFinished } from 'vitest';

/** Makes a named pipe. When the test ends, whoever still waits for a writer is set free. */
export async function makePipe(path: string): Promise<void> {
  await promisify(execFile)('mkfifo', [path]);
  onTestFinished(async () => {
    const file = await open(path, constants.O_RDWR | constants.O_NONBLOCK).catch(() => undefined);
    await file?.close();
  });
}
