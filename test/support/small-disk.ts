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
  /** Makes room again, on a disk that is full from the start or was filled. */
  readonly free: () => Promise<void>;
}

/**
 * Mounts a tmpfs in a namespace of its own, runs the program, and fills or frees the disk when a line says so; without
 * one the program has the disk as it is. Ends with the program's exit code, after a line with the files that are left on the disk.
 */
const SCRIPT = `
mount -t tmpfs -o size="$2" none "$1" || exit 99
disk=$1; when=$3; shift 3
[ "$when" = full ] && cat /dev/zero > "$disk/filler" 2>/dev/null
"$@" & pid=$!
while read -r go; do
  if [ "$go" = free ]; then rm -f "$disk/filler"; echo freed
  else cat /dev/zero >> "$disk/filler" 2>/dev/null; echo filled; fi
done
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

/** Whether a small disk can be made here; without the right to mount, only the size of files can be limited. */
export function canMount(folder: string): boolean {
  return namespaceFor(folder) !== undefined;
}

function namespaceFor(folder: string): (typeof NAMESPACES)[number] | undefined {
  return NAMESPACES.find(
    ([command, ...words]) =>
      spawnSync(command, [...words, 'mount', '-t', 'tmpfs', 'none', folder]).status === 0,
  );
}

/**
 * Starts `xftp`, or the program named, where `disk`, a path that `args` gets, is a disk of `bytes` bytes, which may be full from the start.
 */
export async function xftpOnSmallDisk(
  size: { readonly bytes: number; readonly full?: boolean },
  args: (disk: string) => readonly string[],
  { program: name = 'xftp', ...options }: ProgramOptions & { readonly program?: ProgramName } = {},
): Promise<ProgramOnSmallDisk> {
  const disk = join(await temporaryFolder(), 'disk');
  await mkdir(disk);
  const { bytes, full = false } = size;
  const namespace = namespaceFor(disk);
  const words = commandOf(name, args(disk), options);
  const when = full ? 'full' : 'later';
  if (namespace === undefined) {
    const limit = String(full ? 0 : Math.floor(bytes / 1024));
    const program = startCommand(['sh', '-c', LIMIT_SCRIPT, 'sh', disk, '', when, limit, ...words], options);
    return { ...program, fill: () => Promise.resolve(), free: () => Promise.resolve() };
  }
  const program = startCommand(
    [...namespace, 'sh', '-c', SCRIPT, 'sh', disk, String(bytes), when, ...words],
    { ...options, interactive: true },
  );
  return {
    ...program,
    fill: async () => {
      program.write('now\n');
      await program.printed(/^filled$/m);
    },
    free: async () => {
      program.write('free\n');
      await program.printed(/^freed$/m);
    },
  };
}
