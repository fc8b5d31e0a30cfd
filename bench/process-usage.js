// What another process has used so far, as Linux tells it in /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc on Linux (sysconf(_SC_CLK_TCK)). */
const TICKS = 100;
const KIB = 1024;

/** User and system time of a process with all its threads, in seconds; NaN where the system does not tell. */
export function cpuSecondsOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return NaN;
  }
}

/** Resident memory of a process, in bytes. */
export function memoryOf(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * KIB;
}

/** Open file descriptors of a process. */
export function filesOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}
