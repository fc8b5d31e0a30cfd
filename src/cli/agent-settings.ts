import { Argument, type Command } from 'commander';

import type { Settings } from '../agent/index.js';
import { formatSizeText, parseSizeText, XftpError } from '../protocol/index.js';
import { agentCommand, type CommandTools, type CommonOptions, withAgent } from './agent-command.js';
import { formatTable, outputWidth } from './table.js';

type Name = keyof Settings;

/** How a setting is written: what it means, and how its value is read and shown. */
interface SettingRow<T> {
  readonly meaning: string;
  readonly read: (text: string) => T;
  readonly show: (value: T) => string;
}

/** Everything that can be set. */
const SETTINGS: { readonly [N in Name]: SettingRow<Settings[N]> } = {
  chunksPerServer: count('most chunks under way on one server'),
  chunksTotal: count('most chunks under way in all'),
  chunkSizes: {
    meaning: 'how files are cut: normal, or small for links that break often (costs speed on others)',
    ...choice('normal', 'small'),
  },
  uploadLimit: rate('bytes per second over all transfers, such as 500kb; or none'),
  downloadLimit: rate('bytes per second over all transfers, such as 2mb; or none'),
  maxFileSize: { meaning: 'largest file to send, such as 5gb', read: size, show: formatSizeText },
  replicas: count('on how many relays sends put each part unless they say otherwise'),
  deadlineHours: count('hours that a transfer is tried unless it says otherwise'),
  eventDays: count('days that events are kept'),
  eventCount: count('number of events that are kept'),
  transferDays: {
    meaning: 'days after which finished transfers are removed; or none',
    read: (text) => (text === 'none' ? null : whole(text)),
    show: (value) => (value === null ? 'none' : String(value)),
  },
  approveRelays: {
    meaning: 'which relays may see your address: known, all, or ask for those that are not known',
    ...choice('known', 'all', 'ask'),
  },
  socksProxy: {
    meaning: 'SOCKS5 proxy to reach relays through, such as 127.0.0.1:9050; or none',
    read: (text) => (text === 'none' ? null : text),
    show: (value) => value ?? 'none',
  },
  socksMode: {
    meaning: 'what goes through the proxy: always, or onion hosts only',
    ...choice('always', 'onion'),
  },
  onionHosts: {
    meaning: 'hosts used with a proxy: prefer, require or never those of Tor',
    ...choice('prefer', 'require', 'never'),
  },
  isolation: {
    meaning: 'what shares connections and circuits: server, transfer or chunk',
    ...choice('server', 'transfer', 'chunk'),
  },
  coverTraffic: {
    meaning: 'whether open connections carry meaningless requests at random times: on or off',
    read: (text) => {
      if (text !== 'on' && text !== 'off') throw wrong('Give on or off.');
      return text === 'on';
    },
    show: (value) => (value ? 'on' : 'off'),
  },
};

const NAMES = Object.keys(SETTINGS) as readonly Name[]; // the keys of a complete table

/** `xftp-agent settings …`. */
export function addSettingsCommands(program: Command, tools: CommandTools): void {
  const settings = program
    .command('settings')
    .showHelpAfterError('(xftp-agent settings --help tells more)')
    .description('what can be changed while the agent runs')
    .helpCommand(false);
  const name = (): Argument => new Argument('<NAME>', 'name of the setting').choices(NAMES);

  agentCommand(settings, 'list', 'show all settings').action((options: CommonOptions) =>
    withAgent(tools, options, async ({ agent, output }) => {
      const values = await agent.settings.get();
      const columns = [{ title: 'NAME' }, { title: 'VALUE' }, { title: 'MEANING', cut: true }];
      const rows = NAMES.map((each) => [each, showSetting(each, values[each]), SETTINGS[each].meaning]);
      output.result('settings', formatTable(columns, rows, outputWidth()).join('\n'), { ...values });
    }),
  );

  agentCommand(settings, 'get', 'show one setting')
    .addArgument(name())
    .action((which: Name, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const values = await agent.settings.get();
        output.result('setting', showSetting(which, values[which]), { name: which, value: values[which] });
      }),
    );

  agentCommand(settings, 'set', 'change a setting')
    .addArgument(name())
    .argument('<VALUE>', 'a number, a size such as 2mb, none, or a word, as the setting below says')
    .addHelpText(
      'after',
      `\nSettings:\n${NAMES.map((each) => `  ${each.padEnd(16)} ${SETTINGS[each].meaning}`).join('\n')}`,
    )
    .action((which: Name, text: string, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const values = await agent.settings.set(readSetting(which, text));
        output.result('setting', `${which} is ${showSetting(which, values[which])}.`, {
          name: which,
          value: values[which],
        });
      }),
    );
}

/**
 * A change of one setting.
 *
 * @throws XftpError INVALID_ARGUMENT when the value does not fit
 */
export function readSetting(name: Name, text: string): Partial<Settings> {
  try {
    return { [name]: SETTINGS[name].read(text) };
  } catch (error) {
    if (!(error instanceof XftpError)) throw error;
    throw new XftpError('INVALID_ARGUMENT', `${name} cannot be set to this. ${error.message}`, {
      cause: error,
    });
  }
}

/** A setting's value as `settings set` takes it. */
export function showSetting<N extends Name>(name: N, value: Settings[N]): string {
  return SETTINGS[name].show(value);
}

function choice<T extends string>(...values: readonly T[]): Pick<SettingRow<T>, 'read' | 'show'> {
  return {
    read: (text) => {
      const value = values.find((each) => each === text);
      if (value === undefined)
        throw wrong(`Give ${values.slice(0, -1).join(', ')} or ${values.at(-1) ?? ''}.`);
      return value;
    },
    show: (value) => value,
  };
}

function count(meaning: string): SettingRow<number> {
  return { meaning, read: whole, show: String };
}

function rate(meaning: string): SettingRow<number | null> {
  return {
    meaning,
    read: (text) => (text === 'none' ? null : size(text)),
    show: (value) => (value === null ? 'none' : formatSizeText(value)),
  };
}

function whole(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw wrong('Give a whole number.');
}

function size(text: string): number {
  return parseSizeText(text.toLowerCase());
}

function wrong(message: string): XftpError {
  return new XftpError('INVALID_ARGUMENT', message);
}
