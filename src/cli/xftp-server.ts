#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';

import { parseSizeOption, relayFolders } from '../relay/index.js';
import { EXIT_FAILURE } from './exit-codes.js';
import { HumanOutput, JsonOutput, type Output } from './output.js';
import { packageVersion } from './package-version.js';
import { runProgram } from './program.js';
import { surviveClosedOutput } from './standard-streams.js';
import { checkServer } from './xftp-server-check.js';
import { refuseDatabase } from './xftp-server-database.js';
import { deleteServer } from './xftp-server-delete.js';
import { initDefaults, type InitArguments, initServer, renewServer } from './xftp-server-init.js';
import { startServer } from './xftp-server-start.js';
import { showServerStatus } from './xftp-server-status.js';

const folders = relayFolders(process.env);
const version = packageVersion();
const versionText = `xftp-server ${version} (xftp-agent)`;
const defaults = initDefaults(process.env);

let output: Output = new HumanOutput({ verbose: false });
/** Results as JSON, failures too. */
const json = (): Option => new Option('--json', 'one JSON object a line instead of text');
const chooseOutput = (options: { readonly json?: boolean }): void => {
  if (options.json === true) output = new JsonOutput();
};

const algorithm = (): Option =>
  new Option('-a, --sign-algorithm <ALG>', 'signature algorithm of the certificates').choices([
    'ED448',
    'ED25519',
  ]);

const program = new Command('xftp-server')
  .description('XFTP server: keeps the chunks of encrypted files for a while')
  .version(versionText, '-v, --version', 'show the version')
  .helpOption('-h, --help', 'show help')
  .helpCommand(false)
  // So that -v means the version only before a command.
  .enablePositionalOptions()
  .showHelpAfterError('(xftp-server --help tells more)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Environment:
  XFTP_SERVER_CFG_PATH  folder of configuration and keys (now ${folders.config})
  XFTP_SERVER_LOG_PATH  folder of the store log and the statistics (now ${folders.log})
  XFTP_SECTION_KEY      instead of a key of the INI, such as XFTP_AUTH_NEW_FILES=off
  ADDR, QUOTA, PASS     host name or address, quota and password for init, as in containers

Examples:
  xftp-server init -p /srv/xftp -q 100gb -n relay.example.com   make a server, once
  xftp-server start                                             run it, until Ctrl-C or SIGTERM
  xftp-server cert                                              renew its certificate; its address stays
  xftp-server status                                            how it is
  xftp-server check --repair                                    verify its files while it does not run, and mend them
  xftp-server delete                                            ask, then delete its keys and its log

Signals to a running server:
  SIGINT, SIGTERM  end it; requests under way get 10 seconds
  SIGHUP           read its certificates (after cert) and web pages again; connections go on

Exit codes: 0 done, 1 everything else; of check: 2 repaired, 3 damaged; of status: 3 not running.`,
  );

program
  .command('init')
  .description('make keys, certificates and the INI of a new server')
  .usage('-p <PATH> -q <QUOTA> [options]')
  .requiredOption('-p, --path <PATH>', 'folder of the chunks (required)')
  .addOption(
    new Option('-q, --quota <QUOTA>', 'storage quota, e.g. 100gb (required)')
      .env('QUOTA')
      .argParser(quota)
      .makeOptionMandatory(),
  )
  .option('-n, --fqdn <FQDN>', 'host name of the server', defaults.fqdn)
  .option('--ip <IP>', 'IP address of the server, unless there is a host name', defaults.ip)
  .addOption(algorithm().default('ED448'))
  .option('-l, --store-log', 'keep a store log (always on: accepted for old scripts)')
  .option('--disable-store-log', 'keep no store log: all chunks are lost when the server stops')
  .option('--web-path <PATH>', 'folder of the web pages')
  .action(async (options: InitArguments, command: Command) => {
    const isGiven = (name: keyof InitArguments): boolean => command.getOptionValueSource(name) === 'cli';
    // An address that is given counts more than a host name of the environment.
    const fqdn = isGiven('ip') && !isGiven('fqdn') ? undefined : options.fqdn;
    await initServer(folders, versionText, { ...options, fqdn, password: defaults.password });
  });

program
  .command('start')
  .description('run the server in the foreground, until Ctrl-C or SIGTERM')
  .addOption(
    new Option('--confirm-migrations <up|down>', 'accepted for old scripts; there are no migrations').choices(
      ['up', 'down'],
    ),
  )
  .action(async () => {
    await startServer(folders, { number: version, text: versionText });
  });

program
  .command('cert')
  .description('make a new online certificate, signed with the CA key')
  .addOption(algorithm())
  .option('--cn <FQDN>', 'host name in the certificate')
  .action(async (options: { signAlgorithm?: 'ED448' | 'ED25519'; cn?: string }) => {
    await renewServer(folders, options);
  });

program
  .command('status')
  .description('show how the server is: whether it runs, used quota, chunks, clients')
  .addOption(json())
  .hook('preAction', (command) => {
    chooseOutput(command.opts());
  })
  .action(async () => {
    await showServerStatus(folders, output);
  });

program
  .command('check')
  .description('verify keys, store log and chunks, while the server does not run')
  .option('--repair', 'mend what can be mended; the old log and damaged chunks are kept')
  .option('--quick', 'compare the sizes of the chunks only, not their digests')
  .addOption(json())
  .addHelpText('after', '\nExit codes: 0 clean, 2 repaired, 3 damaged, 1 not checked.')
  .hook('preAction', (command) => {
    chooseOutput(command.opts());
  })
  .action(async (options: { repair?: boolean; quick?: boolean }) => {
    await checkServer(folders, output, options);
  });

program
  .command('delete')
  .description('ask, then delete configuration, keys and log; the chunks stay')
  .option('-y, --yes', 'do not ask')
  .action(async (options: { yes?: boolean }) => {
    await deleteServer(folders, options.yes === true);
  });

const database = program
  .command('database')
  .description('PostgreSQL stores of the reference server; this one has none')
  .helpCommand(false)
  .enablePositionalOptions();
for (const direction of ['import', 'export'] as const)
  database
    .command(direction)
    .description(`says why there is nothing to ${direction}`)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      refuseDatabase(direction);
    });

if (process.argv.length <= 2) {
  surviveClosedOutput();
  program.outputHelp();
} else {
  // As the reference, which knows no other code.
  await runProgram(
    program,
    () => output,
    () => EXIT_FAILURE,
  );
}

function quota(text: string): number {
  try {
    return parseSizeOption(text);
  } catch {
    throw new InvalidArgumentError('Expected a number with kb, mb, gb or tb, for example 100gb.');
  }
}
