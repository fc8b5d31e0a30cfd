#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';

import type { CommandTools, CommonOptions } from './agent-command.js';
import { addDescriptionCommands } from './agent-descriptions.js';
import { addDoctorCommand } from './agent-doctor.js';
import { addEventsCommand } from './agent-events.js';
import { defaultFolders } from './agent-folders.js';
import { LOG_LEVELS } from './agent-option-table.js';
import { type CommandLineOptions, resolveStartOptions } from './agent-options.js';
import { addReceiveCommands } from './agent-receive.js';
import { addSendCommand } from './agent-send.js';
import { addServerCommands } from './agent-servers.js';
import { addSettingsCommands } from './agent-settings.js';
import { addStatusCommands } from './agent-status.js';
import { addTokenCommands } from './agent-tokens.js';
import { addTransferCommands } from './agent-transfers.js';
import { addWatchCommand } from './agent-watch.js';
import { HumanOutput, JsonOutput, type Output } from './output.js';
import { packageVersion } from './package-version.js';
import { runProgram } from './program.js';

let output: Output = new HumanOutput({ verbose: false });
const tools: CommandTools = { output: () => output };

const program = new Command('xftp-agent')
  .description(
    'Sends and receives files over XFTP in the background: transfers survive restarts and lost networks.',
  )
  .version(`xftp-agent ${packageVersion()}`, '-v, --version', 'show the version')
  .helpOption('-h, --help', 'show help')
  // So that -v means the version before a command and "say more" behind it.
  .helpCommand(false)
  .enablePositionalOptions()
  .showHelpAfterError('(xftp-agent --help tells more)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  xftp-agent start                              run the agent; everything else talks to it
  xftp-agent servers add --preset simplex       send through the public relays of SimpleX
  xftp-agent send photo.jpg --wait              upload, then print the links
  xftp-agent receive "https://…#…" .            download into this folder, in the background
  xftp-agent list                               what there is
  xftp-agent watch                              how it goes, live
  xftp-agent pause 4f1c                         IDs may be abbreviated
  xftp-agent doctor                             what is wrong, and what to do

Exit codes: 0 done, 1 wrong usage, 2-9 input, 10-19 network and agent, 20-23 refused by a relay, 24 the proxy, 30-39 the file, 40-49 this machine, 50-52 refused by the agent, 130 interrupted.`,
  )
  .hook('preAction', (_program, command) => {
    const { verbose = false, json = false } = command.opts<CommonOptions>();
    output = json ? new JsonOutput() : new HumanOutput({ verbose });
  });

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

/** A second place would be dropped without a word. */
const once = (value: string, before: string | undefined): string => {
  if (before !== undefined) throw new InvalidArgumentError('It can be given only once.');
  return value;
};

/** Options of `start`, as commander names them. */
interface StartArguments {
  readonly dataDir?: string;
  readonly listen?: string;
  readonly downloads?: string;
  readonly server?: readonly string[];
  readonly embeddedRelay?: boolean;
  readonly config?: string;
  readonly logLevel?: string;
  readonly allowOrigin?: readonly string[];
  readonly socksProxy?: string;
}

program
  .command('start')
  .showHelpAfterError('(xftp-agent start --help tells more)')
  .description('run the agent in the foreground, until Ctrl-C, SIGTERM or `xftp-agent stop`')
  .option('--data-dir <DIR>', `folder of its database and keys (default: ${folderText('data')})`)
  .option(
    '--listen <PLACE>',
    'HOST:PORT of this machine or unix:PATH (default: 127.0.0.1 with a port that the system chooses; ' +
      'rpc.json in the data folder tells clients which)',
    once,
  )
  .option('--downloads <DIR>', `folder for received files (default: ${folderText('downloads')})`)
  .option(
    '--server <ADDRESS>',
    'relay to add to the server list, if it is not there yet (repeatable)',
    collect,
  )
  .option('--embedded-relay', 'also run a relay for this machine, on 127.0.0.1')
  .option('--config <FILE>', `configuration file, TOML (default: ${folderText('config')} if it exists)`)
  .addOption(new Option('--log-level <LEVEL>', `${LOG_LEVELS.join(', ')} (default: info)`))
  .option(
    '--allow-origin <ORIGIN>',
    'web pages that may connect, such as http://localhost:3000 (repeatable)',
    collect,
  )
  .option(
    '--socks-proxy <PROXY>',
    'reach relays through this SOCKS5 proxy, HOST:PORT, from now on; none for no proxy (Tor: 127.0.0.1:9050)',
  )
  .addHelpText(
    'after',
    `
Each option may also be given in the environment (XFTP_AGENT_DATA_DIR, XFTP_AGENT_LISTEN, …; lists separated by ;)
or in the configuration file, under the same names (data-dir = "…", server = ["…"], embedded-relay = true). The command
line counts more than the environment, and that more than the file. The log goes to standard error.

Examples:
  xftp-agent start --listen 127.0.0.1:5225 --downloads ~/Inbox
  xftp-agent start --listen unix:/run/user/1000/xftp-agent.sock
  XFTP_AGENT_LOG_LEVEL=debug xftp-agent start --embedded-relay`,
  )
  .action(async ({ server, allowOrigin, ...options }: StartArguments) => {
    const commandLine: CommandLineOptions = {
      ...options,
      ...(server && { servers: server }),
      ...(allowOrigin && { allowOrigins: allowOrigin }),
    };
    const { env: environment } = process;
    const sources = { commandLine, environment, folders: defaultFolders(), workingFolder: process.cwd() };
    const resolved = resolveStartOptions(sources);
    // Loaded only here: the other commands start faster without the agent.
    const { runStart } = await import('./agent-start.js');
    await runStart(resolved);
  });

program.commandsGroup('Transfers:');
addSendCommand(program, tools);
addReceiveCommands(program, tools);
addTransferCommands(program, tools);
addWatchCommand(program, tools);
addDescriptionCommands(program, tools);
program.commandsGroup('The agent:');
addStatusCommands(program, tools);
addServerCommands(program, tools);
addSettingsCommands(program, tools);
addTokenCommands(program, tools);
addEventsCommand(program, tools);
addDoctorCommand(program, tools);

if (process.argv.length <= 2) program.outputHelp();
else await runProgram(program, tools.output);

function folderText(which: 'data' | 'downloads' | 'config'): string {
  try {
    return defaultFolders()[which];
  } catch {
    // Without a home folder there is no default.
    return 'none here';
  }
}
