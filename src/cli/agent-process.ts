import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../system/index.js';

/** Whether a process of this number is there. */
export function isProcessRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Whether the agent that had this data folder last is still there. */
export async function isAgentAlive(dataDir: string): Promise<boolean> {
  const text = await readFile(join(dataDir, 'agent.pid'), 'utf8').catch(() => '');
  // 0 and below would mean groups of processes.
  const pid = /^[1-9]\d{0,9}\s*$/.test(text) ? Number(text) : undefined;
  return pid !== undefined && isProcessRunning(pid);
}
