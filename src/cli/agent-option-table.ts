import { parseServerAddress, XftpError } from '../protocol/index.js';
import { parseSocksProxy } from '../transport/index.js';
import { pathFrom } from './agent-folders.js';

// The options of `xftp-agent start`: each may come from the command line, the environment or the configuration file.

/** How much the agent logs; each level includes those before it. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where the agent listens: an address of this machine (port 0 for any free one), or a socket file. */
export type ListenPlace = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** The values of all options. Paths are absolute; server addresses may hold passwords. */
export interface StartOptions {
  readonly dataDir: string;
  readonly listen: ListenPlace;
  readonly downloads: string;
  readonly servers: readonly string[];
  readonly embeddedRelay: boolean;
  readonly logLevel: LogLevel;
  readonly allowOrigins: readonly string[];
  /** SOCKS5 proxy to set, or `none` to set that there is none; the setting stays as it is without it. */
  readonly socksProxy?: string;
}

type Kind = 'text' | 'list' | 'switch';

/** One option: its name on the command line and in the configuration file, and how its value is read. */
interface OptionRow<T> {
  readonly name: string;
  readonly kind: Kind;
  /**
   * @param text the value; a list's are separate
   * @param base what relative paths begin at
   * @throws XftpError saying what is wrong with the value
   */
  readonly read: (text: string, base: string) => T;
}

const path = (text: string, base: string): string => {
  if (text === '') throw new XftpError('INVALID_ARGUMENT', 'A path cannot be empty.');
  return pathFrom(text, base);
};

/** Every option but `--config` itself. */
export const OPTION_TABLE = {
  dataDir: { name: 'data-dir', kind: 'text', read: path },
  listen: { name: 'listen', kind: 'text', read: readListenPlace },
  downloads: { name: 'downloads', kind: 'text', read: path },
  servers: { name: 'server', kind: 'list', read: readServer },
  embeddedRelay: { name: 'embedded-relay', kind: 'switch', read: readSwitch },
  logLevel: { name: 'log-level', kind: 'text', read: readLogLevel },
  allowOrigins: { name: 'allow-origin', kind: 'list', read: readOrigin },
  socksProxy: { name: 'socks-proxy', kind: 'text', read: readSocksProxy },
} as const satisfies {
  [K in keyof StartOptions]: OptionRow<
    StartOptions[K] extends readonly (infer Item)[] ? Item : StartOptions[K]
  >;
};

export type OptionKey = keyof typeof OPTION_TABLE;
export const OPTION_KEYS = Object.keys(OPTION_TABLE) as readonly OptionKey[]; // the keys of a constant object

/** The environment variable of an option: `XFTP_AGENT_DATA_DIR` for `data-dir`. */
export function environmentName(optionName: string): string {
  return `XFTP_AGENT_${optionName.toUpperCase().replaceAll('-', '_')}`;
}

/** The items of a list in one text. A password may hold a semicolon, which then does not separate. */
export function splitList(key: OptionKey, text: string): readonly string[] {
  const separator = key === 'servers' ? /;(?=\s*(?:;|xftp:\/\/|$))/ : ';';
  return text
    .split(separator)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function readListenPlace(text: string, base: string): ListenPlace {
  if (text.startsWith('unix:')) {
    const socketPath = text.slice('unix:'.length);
    if (socketPath === '') throw new XftpError('INVALID_ARGUMENT', 'There is no path after unix:.');
    return { socketPath: pathFrom(socketPath, base) };
  }
  const match = /^(?:\[(?<bracketed>[0-9a-fA-F:.]+)\]|(?<plain>[^\s:[\]/]+)):(?<port>\d{1,5})$/.exec(text);
  const host = match?.groups?.['bracketed'] ?? match?.groups?.['plain'];
  const port = Number(match?.groups?.['port']);
  if (host === undefined || port > 65_535)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(text)} is not HOST:PORT (with a port up to 65535) or unix:PATH.`,
    );
  return { host, port };
}

function readServer(text: string): string {
  // Only checked here. The parser's messages repeat nothing of the address, which may hold a password.
  parseServerAddress(text.trim());
  return text.trim();
}

function readSwitch(text: string): boolean {
  if (['true', '1', 'yes', 'on'].includes(text)) return true;
  if (['false', '0', 'no', 'off', ''].includes(text)) return false;
  throw new XftpError('INVALID_ARGUMENT', `${JSON.stringify(text)} is neither true nor false.`);
}

function readSocksProxy(text: string): string {
  if (text !== 'none') parseSocksProxy(text);
  return text;
}

function readLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  throw new XftpError('INVALID_ARGUMENT', `${JSON.stringify(text)} is none of ${LOG_LEVELS.join(', ')}.`);
}

function readOrigin(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : 'null';
  // Browsers send extensions' origins with schemes for which URL knows none.
  const isExtension = /^[a-z][a-z-]*-extension:\/\/[^/]+$/.test(text);
  if (isExtension || (origin !== 'null' && origin === text.replace(/\/$/, '')))
    return text.replace(/\/$/, '');
  throw new XftpError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(text)} is not an origin, such as http://localhost:3000.`,
  );
}
