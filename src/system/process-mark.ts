import { readFile, readlink } from 'node:fs/promises';

import { errorCode } from './error-code.js';

/** Where the state and the time of the start are in `/proc/PID/stat`, after the name in parentheses. */
const STATE = 0;
const START_TIME = 19;

/**
 * What tells a process from all others that had or will have its number: which numbering that is, which boot of the
 * machine, and when the process was started. Only Linux tells; undefined elsewhere, or if there is no such process.
 */
export async function processMark(pid: number): Promise<string | undefined> {
  try {
    const [numbering, boot, stat] = await Promise.all([
      pidNumbering(),
      readFile('/proc/sys/kernel/random/boot_id', 'latin1'),
      readFile(`/proc/${String(pid)}/stat`, 'latin1'),
    ]);
    // The name may hold anything, parentheses and spaces too.
    const facts = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, start] = [facts[STATE], facts[START_TIME]];
    // A zombie has ended; its parent has not noticed yet.
    if (numbering === undefined || start === undefined || state === 'Z' || state === 'X') return undefined;
    return `${numbering} ${boot.trim()} ${start}`;
  } catch {
    return undefined;
  }
}

/**
 * Whether a process that once had this number and mark still runs. With no mark, whether any process of this user has
 * the number. Processes in other containers cannot be looked at: they count as running.
 */
export async function isSameProcess(pid: number, mark: string | undefined): Promise<boolean> {
  if (mark === undefined) return isRunning(pid);
  const numbering = await pidNumbering();
  if (numbering === undefined || !mark.startsWith(`${numbering} `)) return true;
  return (await processMark(pid)) === mark;
}

/** Containers count their processes on their own. */
async function pidNumbering(): Promise<string | undefined> {
  return readlink('/proc/self/ns/pid').catch(() => undefined);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // On Windows also a process of this user may refuse; elsewhere it is somebody else's.
    return process.platform === 'win32' && errorCode(error) === 'EPERM';
  }
}
