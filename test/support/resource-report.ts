import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What a program has used when it ended. */
export interface ResourceReport {
  /** Most memory at once, in bytes: `VmHWM` of /proc/self/status. */
  readonly peakMemory: number;
  /** Bytes that it caused to be written to disks: `write_bytes` of /proc/self/io, less what was cancelled. */
  readonly written: number;
}

/** A module that writes the report at the end of the process; threads do not report. */
const REPORTER = `
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
if (isMainThread) process.on('exit', () => {
  const number = (file, name) => Number(new RegExp('^' + name + ':\\\\s+(\\\\d+)', 'm').exec(readFileSync(file, 'utf8'))?.[1]);
  writeFileSync(process.env.RESOURCE_REPORT, JSON.stringify({
    peakMemory: number('/proc/self/status', 'VmHWM') * 1024,
    written: number('/proc/self/io', 'write_bytes') - number('/proc/self/io', 'cancelled_write_bytes'),
  }));
});
`;

/** Makes a program report its resources: options for it, and the report when it has ended. */
export async function reportResources(folder: string): Promise<{
  readonly nodeArguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly report: () => Promise<ResourceReport>;
}> {
  const reporter = join(folder, 'resource-reporter.mjs');
  const path = join(folder, 'resource-report.json');
  await writeFile(reporter, REPORTER);
  return {
    nodeArguments: ['--import', pathToFileURL(reporter).href],
    env: { RESOURCE_REPORT: path },
    report: async () => JSON.parse(await readFile(path, 'utf8')) as ResourceReport, // the reporter's own words
  };
}

/** Whether the kernel counts bytes that are written to files in a folder; it does not for file systems in memory. */
export async function countsWrittenBytes(folder: string): Promise<boolean> {
  const before = await writtenByThisProcess();
  await writeFile(join(folder, 'probe'), new Uint8Array(1024 * 1024));
  return (await writtenByThisProcess()) > before;
}

async function writtenByThisProcess(): Promise<number> {
  const io = await readFile('/proc/self/io', 'utf8');
  return Number(/^write_bytes: (\d+)/m.exec(io)?.[1]);
}
