import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { onTestFinished } from 'vitest';

import type { OnEnd } from './clean-up.js';

/** The package's folder. */
export const PACKAGE_FOLDER = fileURLToPath(new URL('../../', import.meta.url));

/** The programs in `dist/bin`. */
export type ProgramName = 'xftp' | 'xftp-agent' | 'xftp-server' | 'demo';

/** What a program has printed. */
export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program ended. */
export interface ProgramResult extends ProgramOutput {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How a program is to run. */
export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to PATH and little else: programs under test see nothing of the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** What standard input gives before it ends. */
  readonly input?: string;
  /** Leaves standard input open, for {@link RunningProgram.write}. */
  readonly interactive?: boolean;
  /** A command, with its arguments, that runs the program. */
  readonly under?: readonly string[];
  /** Arguments for Node itself. */
  readonly nodeArguments?: readonly string[];
  /** Folder of the package to run the program from. */
  readonly packageFolder?: string;
  /** When to kill it; at the end of the running test unless told otherwise. */
  readonly onEnd?: OnEnd;
}

/** A program that runs as a process of its own. */
export interface RunningProgram {
  readonly pid: number;
  /** Resolves, always, when the process has ended and its output is complete. */
  readonly ended: Promise<ProgramResult>;
  readonly output: () => ProgramOutput;
  /** Resolves when the pattern has appeared on either output; rejects if the program ends without it. */
  readonly printed: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** Gives text to standard input. */
  readonly write: (text: string) => void;
  /** Ends standard input. */
  readonly endInput: () => void;
  /** Sends a signal to the process and everything that it started, and waits for the end. */
  readonly end: (signal: NodeJS.Signals) => Promise<ProgramResult>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});

/** The words that run a program: Node, the program's file, its arguments. */
export function commandOf(
  name: ProgramName,
  args: readonly string[],
  { nodeArguments = [], packageFolder = PACKAGE_FOLDER }: ProgramOptions = {},
): [string, ...string[]] {
  return [process.execPath, ...nodeArguments, join(packageFolder, 'dist/bin', `${name}.js`), ...args];
}

/** Starts a program in the background. */
export function startProgram(
  name: ProgramName,
  args: readonly string[],
  options: ProgramOptions = {},
): RunningProgram {
  return startCommand([...(options.under ?? []), ...commandOf(name, args, options)], options);
}

/** Runs a program to its end. */
export async function runProgram(
  name: ProgramName,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return startProgram(name, args, options).ended;
}

/** Starts any command in the background, with the same care. */
export function startCommand(words: readonly string[], options: ProgramOptions = {}): RunningProgram {
  const [command = '', ...args] = words;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: environment(options.env),
    stdio: [options.input !== undefined || options.interactive === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    // A process group of its own, so that the end of a shell is the end of what it runs.
    detached: true,
  });
  running.add(child);
  const ended = endOf(child);
  const end = (signal: NodeJS.Signals): Promise<ProgramResult> => {
    signalGroup(child, signal);
    return ended;
  };
  (options.onEnd ?? onTestFinished)(async () => {
    await end('SIGKILL');
  });
  // A program that ends without reading its input is no concern of the test's.
  child.stdin?.on('error', () => undefined);
  if (options.input !== undefined) child.stdin?.end(options.input);
  return {
    pid: child.pid ?? 0,
    ended,
    output: () => outputs.get(child) ?? { stdout: '', stderr: '' },
    printed: (pattern) => printed(child, pattern, ended),
    write: (text) => child.stdin?.write(text),
    endInput: () => child.stdin?.end(),
    end,
  };
}

const outputs = new WeakMap<ChildProcess, ProgramOutput>();

async function endOf(child: ChildProcess): Promise<ProgramResult> {
  let stdout = '';
  let stderr = '';
  const update = (): void => {
    outputs.set(child, { stdout, stderr });
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    update();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    update();
  });
  try {
    // `close` tells exit code and signal.
    const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { exitCode, signal, stdout, stderr };
  } finally {
    running.delete(child);
  }
}

async function printed(
  child: ChildProcess,
  pattern: RegExp,
  ended: Promise<ProgramResult>,
): Promise<RegExpExecArray> {
  const found = new Promise<RegExpExecArray>((resolve) => {
    const look = (): void => {
      const { stdout, stderr } = outputs.get(child) ?? { stdout: '', stderr: '' };
      const match = pattern.exec(stdout) ?? pattern.exec(stderr);
      if (match === null) return;
      child.stdout?.off('data', look);
      child.stderr?.off('data', look);
      resolve(match);
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    look();
  });
  const missed = ended.then(({ exitCode, stdout, stderr }): never => {
    throw new Error(
      `The program ended (${String(exitCode)}) without printing ${String(pattern)}: ${stdout}${stderr}`,
    );
  });
  return Promise.race([found, missed]);
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has just ended.
  }
}

function environment(added: ProgramOptions['env']): NodeJS.ProcessEnv {
  const { PATH, TMPDIR } = process.env;
  return {
    ...(PATH === undefined ? {} : { PATH }),
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    LANG: 'C.UTF-8',
    // Whoever needs a home says so: no test may write to a person's.
    HOME: '/nonexistent',
    ...added,
  };
}
