#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';

import {
  formatSizeText,
  MAX_RECIPIENTS,
  parseServerList,
  parseSizeText,
  PRESET_SERVERS,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import { MAX_REPLICAS } from '../transfer/index.js';
import { HumanOutput, JsonOutput, type Output } from './output.js';
import { packageVersion } from './package-version.js';
import { runProgram } from './program.js';
import {
  onionHostsOption,
  routeOf,
  type RouteArguments,
  socksModeOption,
  socksProxyOption,
} from './route-options.js';
import { surviveClosedOutput } from './standard-streams.js';
import { runDelete, runInfo, runRandom } from './xftp-manage.js';
import { runReceive } from './xftp-recv.js';
import { runSend } from './xftp-send.js';

/** Default limit on the size of a file, in bytes: what the SimpleX agent library takes. */
const DEFAULT_MAX_SIZE = 5 * 1024 ** 3;
/** The reference's number of tries. */
const DEFAULT_ATTEMPTS = 3;

interface CommonOptions {
  readonly verbose?: boolean;
  readonly json?: boolean;
}

let output: Output = new HumanOutput({ verbose: false });

const program = new Command('xftp')
  .description('Sends and receives files over XFTP: end-to-end encrypted, through relays that learn nothing.')
  .version(`xftp ${packageVersion()} (xftp-agent)`, '-v, --version', 'show the version')
  .helpOption('-h, --help', 'show help')
  // So that -v means the version before a command and "say more" behind it.
  .enablePositionalOptions()
  .showHelpAfterError('(xftp --help tells more)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  xftp send photo.jpg                       upload through the preset relays
  xftp send photo.jpg -n 3 -s "xftp://FINGERPRINT@relay.example"
  xftp send photo.jpg --replicas 2          each part on two relays: one of them may fail
  xftp recv photo.jpg.xftp/rcv1.xftp .      download into this folder
  xftp recv "https://relay.example/file#…"  download from a link
  xftp del photo.jpg.xftp/snd.xftp.private  delete it from the relays

Exit codes: 0 done, 1 wrong usage, 2-7 input, 10-19 network, 20-23 refused by a relay, 24 the proxy, 30-37 the file, 40-47 this machine, 130 interrupted.`,
  )
  .hook('preAction', (_program, command) => {
    const { verbose = false, json = false } = command.opts<CommonOptions>();
    output = json ? new JsonOutput() : new HumanOutput({ verbose });
  });

program
  .command('send')
  .description('encrypt a file, upload it, and write its file descriptions')
  .argument('<FILE>', 'file to send')
  .argument('[DIR]', 'folder for the file descriptions', '.')
  .option('-n, --count <COUNT>', 'number of recipients', countOf(MAX_RECIPIENTS), 1)
  .addOption(
    // Not parsed here: a message about an option repeats its value, and addresses may hold a password.
    new Option('-s, --servers <SERVER>', 'relays, separated by ; (default: the preset relays of SimpleX)'),
  )
  .option(
    '--replicas <COUNT>',
    'put each part on so many relays, so that it can be received when one of them is gone',
    countOf(MAX_REPLICAS),
    1,
  )
  .option(
    '--replicas-required <COUNT>',
    'be content when each part is on so many relays (default: all of them)',
    countOf(MAX_REPLICAS),
  )
  .addOption(retryOption())
  .addOption(
    new Option('--max-size <SIZE>', 'largest file to send (kb, mb, gb)')
      .argParser(sizeOf)
      .default(DEFAULT_MAX_SIZE, formatSizeText(DEFAULT_MAX_SIZE)),
  )
  .option('--qr', 'show the link as a QR code if it is short enough')
  .addOption(tmpOption())
  .addOption(socksProxyOption())
  .addOption(socksModeOption())
  .addOption(onionHostsOption())
  .option('--json', 'print one JSON object a line')
  .option('-v, --verbose', 'say more')
  .action(async (file: string, folder: string, options: SendArguments) => {
    const { count: recipients, retry: attempts, maxSize, qr = false, replicas: wanted } = options;
    const { replicasRequired: required = wanted } = options;
    const servers = options.servers === undefined ? PRESET_SERVERS : serversOf(options.servers);
    const replicas = { wanted, required };
    await runSend(
      { file, folder, recipients, servers, attempts, maxSize, qr, replicas, ...routeOf(options) },
      output,
    );
  });

program
  .command('recv')
  .description('download a file from a file description or link')
  .argument('<FILE>', 'file description, or link (https:… or simplex:…)')
  .argument('[DIR]', 'folder, or path of the file (default: ~/Downloads)')
  .addOption(retryOption())
  .addOption(tmpOption())
  .addOption(socksProxyOption())
  .addOption(socksModeOption())
  .addOption(onionHostsOption())
  .option('--json', 'print one JSON object a line')
  .option('-v, --verbose', 'say more')
  .option('-y, --yes', 'delete the used file description without asking')
  .action(async (from: string, to: string | undefined, options: ConfirmedArguments) => {
    const { retry: attempts, yes = false } = options;
    await runReceive(
      { from, attempts, yes, ...(to === undefined ? {} : { to }), ...routeOf(options) },
      output,
    );
  });

program
  .command('del')
  .description('delete a sent file from the relays')
  .argument('<FILE>', "sender's file description (snd.xftp.private)")
  .addOption(retryOption())
  .addOption(socksProxyOption())
  .addOption(socksModeOption())
  .addOption(onionHostsOption())
  .option('--json', 'print one JSON object a line')
  .option('-v, --verbose', 'say more')
  .option('-y, --yes', 'delete the used file description without asking')
  .action(async (file: string, options: ConfirmedArguments) => {
    const { retry: attempts, yes = false } = options;
    await runDelete({ file, attempts, yes, ...routeOf(options) }, output);
  });

program
  .command('info')
  .description('show what a file description says')
  .argument('<FILE>', 'file description or link')
  .option('--json', 'print one JSON object a line')
  .action(async (from: string) => {
    await runInfo(from, output);
  });

program
  .command('rand', { hidden: true })
  .description('make a file with random content')
  .argument('<FILE>', 'file to create')
  .argument('<SIZE>', 'its size (kb, mb, gb)', sizeOf)
  .option('--json', 'print one JSON object a line')
  .action(async (path: string, size: number) => {
    await runRandom(path, size, output);
  });

if (process.argv.length <= 2) {
  surviveClosedOutput();
  program.outputHelp();
} else await runProgram(program, () => output);

interface SendArguments extends RouteArguments {
  readonly count: number;
  readonly servers?: string;
  readonly replicas: number;
  readonly replicasRequired?: number;
  readonly retry: number;
  readonly maxSize: number;
  readonly qr?: boolean;
}

interface ConfirmedArguments extends RouteArguments {
  readonly retry: number;
  readonly yes?: boolean;
}

function retryOption(): Option {
  return new Option('-r, --retry <RETRY>', 'how often each step is tried')
    .argParser(countOf(1000))
    .default(DEFAULT_ATTEMPTS);
}

function tmpOption(): Option {
  return new Option('--tmp <TMP>', 'accepted for compatibility: nothing is written to a temporary folder');
}

function countOf(max: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (!/^\d+$/.test(text) || count < 1 || count > max)
      throw new InvalidArgumentError(`Give a whole number from 1 to ${String(max)}.`);
    return count;
  };
}

function sizeOf(text: string): number {
  try {
    return parseSizeText(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof XftpError ? error.message : '');
  }
}

function serversOf(text: string): readonly ServerAddress[] {
  const servers = parseServerList(text);
  if (servers.length === 0) throw new XftpError('INVALID_ADDRESS', 'Name at least one relay after -s.');
  return servers;
}
