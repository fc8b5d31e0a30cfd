import { errorCode } from '../system/index.js';
import { localFailure } from '../transfer/index.js';
import { exitCodeOf } from './exit-codes.js';

const unread = new AbortController();

/** Aborts when the output can go nowhere any more: what does nothing but tell something may end then. */
export const outputEnd: AbortSignal = unread.signal;

/**
 * Whoever reads the output may go away, as in `| head`: the program goes on, unseen. Output that cannot be written for
 * another reason, such as a full disk, is told, and makes the program end as failed when its work is done.
 */
export function surviveClosedOutput(): void {
  process.stderr.on('error', () => undefined);
  let told = false;
  process.stdout.on('error', (error: Error) => {
    unread.abort();
    if (told || errorCode(error) === 'EPIPE') return;
    told = true;
    const failure = localFailure(error, 'standard output');
    process.stderr.write(`${failure.message}\n`);
    process.once('exit', () => {
      if (process.exitCode === undefined || process.exitCode === 0)
        process.exitCode = exitCodeOf(failure.code);
    });
  });
}
