import { type Command, CommanderError } from 'commander';

import { type FailureCode, isXftpError, XftpError } from '../protocol/index.js';
import { localFailure } from '../transfer/index.js';
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, exitCodeOf } from './exit-codes.js';
import type { Output } from './output.js';
import { surviveClosedOutput } from './standard-streams.js';

/**
 * Runs a program's command line and ends the process with the right code. A person's mistake gives a sentence; only a
 * mistake of ours shows a stack trace.
 *
 * @param output where failures are told, asked for when one happens
 * @param exitCode the code for a failure, unless it is that of the failure's table
 */
export async function runProgram(
  program: Command,
  output: () => Output,
  exitCode: (code: FailureCode) => number = exitCodeOf,
): Promise<void> {
  surviveClosedOutput();
  try {
    await program.parseAsync();
    process.exitCode ??= EXIT_OK;
  } catch (error) {
    const code = report(error, output(), exitCode);
    // An interruption has chosen its code already, by the signal.
    if (code !== EXIT_INTERRUPTED || process.exitCode === undefined) process.exitCode = code;
  }
}

function report(error: unknown, output: Output, exitCode: (code: FailureCode) => number): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_FAILURE;
  const failure = toFailure(error);
  output.endProgress();
  output.fail(failure);
  return exitCode(failure.code);
}

function toFailure(error: unknown): XftpError {
  if (isXftpError(error)) return error;
  if (error instanceof Error && 'syscall' in error && error.syscall === 'uv_cwd')
    return new XftpError('SOURCE_MISSING', 'The current folder is gone: change to another one first.', {
      cause: error,
    });
  if (error instanceof Error && 'syscall' in error) return localFailure(error, pathOf(error));
  throw error;
}

function pathOf(error: Error): string {
  return 'path' in error && typeof error.path === 'string' ? error.path : 'A file';
}
