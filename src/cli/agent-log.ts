import { LOG_LEVELS, type LogLevel } from './agent-option-table.js';

/** Writes one line of the log. */
export type Log = (level: LogLevel, message: string) => void;

/** A log of one line per message on standard error: time, level, message. */
export function standardErrorLog(most: LogLevel): Log {
  const included = LOG_LEVELS.slice(0, LOG_LEVELS.indexOf(most) + 1);
  return (level, message) => {
    if (included.includes(level)) process.stderr.write(`${formatLogLine(new Date(), level, message)}\n`);
  };
}

/** A line of the log. A message stays on one line, whatever is in it. */
export function formatLogLine(time: Date, level: LogLevel, message: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is to be replaced
  const oneLine = message.trim().replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
  return `${time.toISOString()} ${level.padEnd(5)} ${oneLine}`;
}
