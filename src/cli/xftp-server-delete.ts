import { createInterface } from 'node:readline/promises';

import { deleteRelay, type RelayFolders } from '../relay/index.js';

/**
 * `delete`: asks, and goes on only after exactly `Y` (protocol reference, section 11.1). Refused while the server runs.
 *
 * @param sure whether the answer was given with the command
 */
export async function deleteServer(folders: RelayFolders, sure: boolean): Promise<void> {
  const confirm = async (): Promise<boolean> => {
    process.stdout.write(
      `WARNING: deleting the server makes all its files inaccessible: the server identity (CA key) is deleted.\n` +
        `THIS CANNOT BE UNDONE! Folders: ${folders.config}, ${folders.log}.\n`,
    );
    return sure || (await ask('Continue (Y/n): ')) === 'Y';
  };
  const kept = await deleteRelay(folders, confirm, process.env);
  if (kept === undefined) {
    process.stdout.write('Server NOT deleted\n');
    process.exitCode = 1;
    return;
  }
  for (const folder of kept)
    process.stdout.write(`The folder ${folder} stays: it holds other files or is a mount point.\n`);
  process.stdout.write('Deleted configuration and log files\n');
}

/** One line of the standard input; undefined if it ends without one. */
async function ask(question: string): Promise<string | undefined> {
  process.stdout.write(question);
  const input = createInterface({ input: process.stdin });
  try {
    for await (const line of input) return line;
    return undefined;
  } finally {
    input.close();
  }
}
