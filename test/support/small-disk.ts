import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import {
  commandOf,
  type ProgramName,
  type ProgramOptions,
  type RunningProgram,
  startCommand,
} from './program.js';
import { temporaryFolder } from './temporary-folder.js';

/** A program that runs where one folder is a small disk. */
export interface ProgramOnSmallDisk extends RunningProgram {
  /** Fills the disk to its last byte. */
  readonly fill: () => Promise<void>;
  /** Fills it too; what it gives makes the room again. */
  readonly fillForAWhile: () => Promise<() => Promise<void>>;
}

/**
 * Mounts a tmpfs in a namespace of its own, runs the program, and fills the disk when a line comes (until another one
 * comes, if it is "hold"); without one the program has the disk as it is. Ends with the program's exit code, after a line with the files that are left on the disk.
 */
const SCRIPT = `
mount -t tmpfs -o size="$2" none "$1" || exit 99
disk=$1; when=$3; shift 3
[ "$when" = full ] && cat /dev/zero > "$disk/filler" 2>/dev/null
"$@" & pid=$!
if read -r go; then
  cat /dev/zero >> "$disk/filler" 2>/dev/null; echo filled
  if [ "$go" = hold ]; then read -r go; rm -f "$disk/filler"; echo freed; fi
fi
wait $pid; code=$?
echo "left: $(cd "$disk" && find . -type f ! -name filler | tr '\\n' ' ')"
exit $code`;

/** Without the right to mount: no file of the program may grow beyond so many units of 512 bytes. */
const LIMIT_SCRIPT = `
disk=$1; when=$3; ulimit -f "$4"; shift 4
"$@"; code=$?
echo "left: $(cd "$disk" && find . -type f | tr '\\n' ' ')"
exit $code`;

/** Ways to a mount of one's own: as root, or as root of a user namespace. */
const NAMESPACES = [
  ['unshare', '--mount', '--propagation', 'private'],
  ['unshare', '--user', '--map-root-user', '--mount'],
] as const;

/** How large the disk is, and whether it is full from the start. */
export interface SmallDisk {
  readonly bytes: number;
  readonly full?: boolean;
}

/** Whether small disks can be made here; without the right to mount, only the size of files can be limited. */
export function canMount(folder: string): boolean {
  return namespaceFor(folder) !== undefined;
}

function namespaceFor(folder: string): (typeof NAMESPACES)[number] | undefined {
  return NAMESPACES.find(
    ([command, ...words]) =>
      spawnSync(command, [...words, 'mount', '-t', 'tmpfs', 'none', folder]).status === 0,
  );
}

/** Starts `xftp` where `disk`, a path that `args` gets, is a small disk. */
export function xftpOnSmallDisk(
  size: SmallDisk,
  args: (disk: string) => readonly string[],
): Promise<ProgramOnSmallDisk> {
  return programOnSmallDisk('xftp', size, (disk) => ({ args: args(disk) }));
}

/** Starts a program where `disk` is a small disk; `run` says how. */
export async function programOnSmallDisk(
  name: ProgramName,
  size: SmallDisk,
  run: (disk: string) => { readonly args: readonly string[]; readonly options?: ProgramOptions },
): Promise<ProgramOnSmallDisk> {
  const disk = join(await temporaryFolder(), 'disk');
  await mkdir(disk);
  const { args, options = {} } = run(disk);
  const { bytes, full = false } = size;
  const namespace = namespaceFor(disk);
  const words = commandOf(name, args, options);
  const when = full ? 'full' : 'later';
  if (namespace === undefined) {
    const limit = String(full ? 0 : Math.floor(bytes / 1024));
    const program = startCommand(['sh', '-c', LIMIT_SCRIPT, 'sh', disk, '', when, limit, ...words], options);
    const fill = (): Promise<void> => Promise.resolve();
    return { ...program, fill, fillForAWhile: () => Promise.resolve(fill) };
  }
  const program = startCommand(
    [...namespace, 'sh', '-c', SCRIPT, 'sh', disk, String(bytes), when, ...words],
    { ...options, interactive: true },
  );
  if (full) program.endInput();
  const fill = async (how: string): Promise<void> => {
    program.write(`${how}\n`);
    await program.printed(/^filled$/m);
  };
  return {
    ...program,
    fill: () => fill('now'),
    fillForAWhile: async () => {
      await fill('hold');
      return async () => {
        program.write('free\n');
        await program.printed(/^freed$/m);
      };
    },
  };
}
