// What another process and those that it has started have used so far, as Linux tells it in /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc on Linux (sysconf(_SC_CLK_TCK)). */
const TICKS = 100;
const KIB = 1024;

/** User and system time of the processes with all their threads, in seconds; NaN where the system does not tell. */
export function cpuSecondsOf(pid) {
  try {
    return sumOf(pid, (each) => {
      const fields = readFileSync(`/proc/${each}/stat`, 'utf8').split(') ')[1].split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    });
  } catch {
    return NaN;
  }
}

/** Resident memory of the processes, in bytes; what they share counts for each. */
export function memoryOf(pid) {
  return sumOf(
    pid,
    (each) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/status`, 'utf8'))?.[1]) * KIB,
  );
}

/** Open file descriptors of the processes. */
export function filesOf(pid) {
  return sumOf(pid, (each) => readdirSync(`/proc/${each}/fd`).length);
}

function sumOf(pid, figure) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children].reduce((sum, each) => sum + figure(each), 0);
}
