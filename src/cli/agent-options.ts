import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { parse, TomlError } from 'smol-toml';

import { isXftpError, XftpError } from '../protocol/index.js';
import { localFailure } from '../transfer/index.js';
import { type AgentFolders, pathFrom } from './agent-folders.js';
import {
  environmentName,
  OPTION_KEYS,
  OPTION_TABLE,
  type OptionKey,
  splitList,
  type StartOptions,
} from './agent-option-table.js';

/** Options as commander hands them over: texts, lists of texts, and true for a switch. */
export type CommandLineOptions = Readonly<
  Partial<Record<OptionKey | 'config', string | readonly string[] | boolean>>
>;

/** Where options come from besides the configuration file. */
export interface OptionSources {
  readonly commandLine: CommandLineOptions;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly folders: AgentFolders;
  /** What relative paths of the command line and the environment begin at. */
  readonly workingFolder: string;
}

/** What an option was given as, and where, for messages and relative paths. */
interface Given {
  readonly texts: readonly string[];
  /** Names the place in messages, such as `--listen`. */
  readonly place: string;
  readonly base: string;
  /** What a wrong value is. */
  readonly code: 'INVALID_ARGUMENT' | 'INVALID_CONFIG';
}

type Source = (key: OptionKey) => Given | undefined;

/**
 * The options of `start`: from the command line, else the environment, else the configuration file, else the defaults.
 * The configuration file may be absent unless it was named.
 *
 * @throws XftpError INVALID_ARGUMENT, INVALID_CONFIG or INVALID_ADDRESS, saying which option is wrong and why
 */
export function resolveStartOptions(sources: OptionSources): StartOptions {
  const find = finder(sources);
  const { folders } = sources;
  const socksProxy = single(find, 'socksProxy');
  return {
    dataDir: single(find, 'dataDir') ?? folders.data,
    listen: single(find, 'listen') ?? { host: '127.0.0.1', port: 0 },
    downloads: single(find, 'downloads') ?? folders.downloads,
    servers: list(find, 'servers'),
    embeddedRelay: single(find, 'embeddedRelay') ?? false,
    logLevel: single(find, 'logLevel') ?? 'info',
    allowOrigins: list(find, 'allowOrigins'),
    ...(socksProxy === undefined ? {} : { socksProxy }),
  };
}

/** The data folder, for commands that look for the running agent in it. */
export function resolveDataDir(sources: OptionSources): string {
  return single(finder(sources), 'dataDir') ?? sources.folders.data;
}

/** Asks one source after the other. */
function finder(sources: OptionSources): Source {
  const ordered = [commandLine(sources), environment(sources), configFile(sources)];
  return (key) => {
    for (const source of ordered) {
      const given = source(key);
      if (given !== undefined) return given;
    }
    return undefined;
  };
}

function commandLine({ commandLine: options, workingFolder }: OptionSources): Source {
  return (key) => {
    const value = options[key];
    if (value === undefined) return undefined;
    const texts = typeof value === 'object' ? value : [String(value)];
    return { texts, place: `--${OPTION_TABLE[key].name}`, base: workingFolder, code: 'INVALID_ARGUMENT' };
  };
}

function environment({ environment: variables, workingFolder }: OptionSources): Source {
  return (key) => {
    const place = environmentName(OPTION_TABLE[key].name);
    const text = variables[place];
    // An empty variable is one that is not set, as usual in shells and units.
    if (text === undefined || text === '') return undefined;
    const texts = OPTION_TABLE[key].kind === 'list' ? splitList(key, text) : [text];
    return { texts, place, base: workingFolder, code: 'INVALID_ARGUMENT' };
  };
}

function configFile({ commandLine: options, environment, folders, workingFolder }: OptionSources): Source {
  const variable = environment[environmentName('config')];
  const named = typeof options.config === 'string' ? options.config : variable === '' ? undefined : variable;
  const path = named === undefined ? folders.config : pathFrom(named, workingFolder);
  const text = readConfig(path, named === undefined);
  const values = text === undefined ? new Map<OptionKey, readonly string[]>() : parseConfig(text, path);
  return (key) => {
    const texts = values.get(key);
    if (texts === undefined) return undefined;
    const place = `${OPTION_TABLE[key].name} in ${path}`;
    return { texts, place, base: dirname(resolve(path)), code: 'INVALID_CONFIG' };
  };
}

function readConfig(path: string, mayBeAbsent: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const failure = localFailure(error, path);
    if (mayBeAbsent && failure.code === 'SOURCE_MISSING') return undefined;
    throw new XftpError('INVALID_CONFIG', `The configuration file cannot be read. ${failure.message}`, {
      cause: error,
    });
  }
}

function parseConfig(text: string, path: string): ReadonlyMap<OptionKey, readonly string[]> {
  const entries = Object.entries(parseToml(text, path));
  const keyOf = (name: string): OptionKey | undefined =>
    OPTION_KEYS.find((key) => OPTION_TABLE[key].name === name);
  const unknown = entries.map(([name]) => name).filter((name) => keyOf(name) === undefined);
  if (unknown.length > 0) {
    const known = OPTION_KEYS.map((key) => OPTION_TABLE[key].name).join(', ');
    throw new XftpError(
      'INVALID_CONFIG',
      `${path} has keys that are unknown: ${unknown.join(', ')} (known are ${known}).`,
    );
  }
  const values = new Map<OptionKey, readonly string[]>();
  for (const [name, value] of entries) {
    const key = keyOf(name);
    if (key !== undefined) values.set(key, textsOf(key, value, path));
  }
  return values;
}

function parseToml(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (cause) {
    // The parser's message shows the line, which may hold a password.
    const where = cause instanceof TomlError ? `, line ${String(cause.line)}` : '';
    throw new XftpError('INVALID_CONFIG', `${path}${where} is not TOML.`, { cause });
  }
}

/** A value of the configuration file as texts, which the option's own reader takes on. */
function textsOf(key: OptionKey, value: unknown, path: string): readonly string[] {
  const { name, kind } = OPTION_TABLE[key];
  if (kind === 'list' && Array.isArray(value)) {
    const items: readonly unknown[] = value;
    if (items.every((item) => typeof item === 'string')) return items;
  }
  if (kind === 'switch' && typeof value === 'boolean') return [String(value)];
  if (kind === 'text' && typeof value === 'string') return [value];
  const expected = { text: 'a text in quotes', list: 'a list of texts', switch: 'true or false' }[kind];
  throw new XftpError('INVALID_CONFIG', `${name} in ${path} must be ${expected}.`);
}

type Value<K extends OptionKey> = ReturnType<(typeof OPTION_TABLE)[K]['read']>;

function single<K extends OptionKey>(find: Source, key: K): Value<K> | undefined {
  const given = find(key);
  const text = given?.texts.at(-1);
  return given === undefined || text === undefined ? undefined : read(key, text, given);
}

function list<K extends OptionKey>(find: Source, key: K): readonly Value<K>[] {
  const given = find(key);
  return given === undefined ? [] : given.texts.map((text) => read(key, text, given));
}

function read<K extends OptionKey>(key: K, text: string, { place, base, code }: Given): Value<K> {
  try {
    // The row of a key reads the values of that key.
    return OPTION_TABLE[key].read(text, base) as Value<K>;
  } catch (error) {
    if (!isXftpError(error)) throw error;
    const ownCode = error.code === 'INVALID_ARGUMENT' ? code : error.code;
    throw new XftpError(ownCode, `${place} cannot be used. ${error.message}`, { cause: error });
  }
}
