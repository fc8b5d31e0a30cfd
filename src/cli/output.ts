import type { TransferProgress } from '../transfer/index.js';
import { isXftpError, type XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { ProgressLine } from './progress-line.js';

/** Time between two progress lines of `--json`, in milliseconds. */
const JSON_PROGRESS_MS = 500;

/** Where a program tells what it does. Results go to standard output, everything else to standard error. */
export interface Output {
  /** Whether questions may be asked between the results. */
  readonly asks: boolean;
  /** A result: text for people, members for `--json`. */
  result(event: string, text: string, members: Readonly<Record<string, unknown>>): void;
  /** A list of results: lines for people, one line of members for each with `--json`. */
  results(event: string, lines: readonly string[], members: readonly object[]): void;
  /** Something to know although the work goes on. */
  warn(message: string): void;
  /** What becomes of the work, and is no trouble: for people beside the results, members for `--json`. */
  note(event: string, text: string, members: Readonly<Record<string, unknown>>): void;
  /** What is going on, for `--verbose`. */
  detail(message: string): void;
  /** The failure that ends the program. */
  fail(error: XftpError): void;
  /** A function that shows the progress of one step. */
  progress(label: string): (progress: TransferProgress) => void;
  /** Ends a progress display. */
  endProgress(): void;
}

/** For people: a progress line if standard error is a terminal, quiet otherwise. */
export class HumanOutput implements Output {
  readonly asks = true;
  readonly #verbose: boolean;
  #line: ProgressLine | undefined;

  constructor({ verbose }: { readonly verbose: boolean }) {
    this.#verbose = verbose;
  }

  result(_event: string, text: string): void {
    this.endProgress();
    process.stdout.write(`${text}\n`);
  }

  results(event: string, lines: readonly string[]): void {
    this.result(event, lines.join('\n'));
  }

  warn(message: string): void {
    this.#note(`Warning: ${message}`);
  }

  note(_event: string, text: string): void {
    this.#note(text);
  }

  detail(message: string): void {
    if (this.#verbose) this.#note(message);
  }

  fail(error: XftpError): void {
    this.#note(error.hint === undefined ? error.message : `${error.message} ${error.hint}`);
    if (this.#verbose) for (const reason of causesOf(error)) this.#note(`  because: ${reason}`);
  }

  progress(label: string): (progress: TransferProgress) => void {
    if (!process.stderr.isTTY) return () => undefined;
    const line = new ProgressLine(label, process.stderr);
    this.#line = line;
    return (progress) => {
      line.update(progress);
    };
  }

  endProgress(): void {
    this.#line?.clear();
    this.#line = undefined;
  }

  #note(message: string): void {
    this.#line?.clear();
    process.stderr.write(`${message}\n`);
  }
}

/** For programs: one JSON object a line on standard output, each with an `event`. */
export class JsonOutput implements Output {
  readonly asks = false;

  result(event: string, _text: string, members: Readonly<Record<string, unknown>>): void {
    this.#line({ event, ...members });
  }

  results(event: string, _lines: readonly string[], members: readonly object[]): void {
    for (const each of members) this.#line({ event, ...each });
  }

  warn(message: string): void {
    this.#line({ event: 'warning', message });
  }

  note(event: string, _text: string, members: Readonly<Record<string, unknown>>): void {
    this.#line({ event, ...members });
  }

  detail(): void {
    // Details are for people.
  }

  fail(error: XftpError): void {
    const { code, hint, message, wire } = error;
    this.#line({
      event: 'error',
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(wire === undefined ? {} : { wire }),
    });
  }

  progress(label: string): (progress: TransferProgress) => void {
    let last = -Infinity;
    let lastDone = -1;
    return ({ done, total }) => {
      const now = performance.now();
      if (done === lastDone || (now - last < JSON_PROGRESS_MS && done < total)) return;
      last = now;
      lastDone = done;
      this.#line({ event: 'progress', step: label.toLowerCase(), done, total });
    };
  }

  endProgress(): void {
    // Lines need no end.
  }

  #line(members: Readonly<Record<string, unknown>>): void {
    process.stdout.write(`${JSON.stringify(members)}\n`);
  }
}

function causesOf(error: Error): string[] {
  const reasons: string[] = [];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const reason = reasonText(cause);
    // What is said already, as part of a longer sentence too, is not said again.
    if (![error.message, ...reasons].some((said) => said.includes(reason))) reasons.push(reason);
  }
  return reasons;
}

/** What OpenSSL says of an error is a line about its source code, with the reason somewhere in it. */
function reasonText(cause: Error): string {
  const system = systemReason(cause);
  if (system !== undefined) return system;
  const { code = '', reason } = cause as Error & { readonly code?: unknown; readonly reason?: unknown }; // as Node documents it
  if (!String(code).startsWith('ERR_SSL') && !cause.message.includes(':SSL routines:')) return cause.message;
  return `the TLS handshake failed (${typeof reason === 'string' ? reason : String(code)}).`;
}

/** What Node says of an error of the system repeats paths and addresses; its code is what can be looked up. */
function systemReason(cause: Error): string | undefined {
  const code = errorCode(cause);
  if (isXftpError(cause) || code === undefined || !/^E(?!RR_)[A-Z0-9_]+$/.test(code)) return undefined;
  const call = 'syscall' in cause && typeof cause.syscall === 'string' ? ` to ${cause.syscall}` : '';
  return `the system answered ${code}${call}.`;
}
