#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';

import { parseSizeText } from '../protocol/index.js';
import { relayFolders } from '../relay/index.js';
import { EXIT_FAILURE } from './exit-codes.js';
import { HumanOutput } from './output.js';
import { packageVersion } from './package-version.js';
import { runProgram } from './program.js';
import { surviveClosedOutput } from './standard-streams.js';
import { deleteServer } from './xftp-server-delete.js';
import { initServer, renewServer } from './xftp-server-init.js';
import { startServer } from './xftp-server-start.js';

const folders = relayFolders(process.env);
const versionText = `xftp-server ${packageVersion()} (xftp-agent)`;

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
  XFTP_SERVER_LOG_PATH  folder of the store log (now ${folders.log})

Examples:
  xftp-server init -p /srv/xftp -q 100gb -n relay.example.com   make a server, once
  xftp-server start                                             run it, until Ctrl-C or SIGTERM
  xftp-server cert                                              renew its certificate; its address stays
  xftp-server delete                                            ask, then delete its keys and its log

Signals to a running server:
  SIGINT, SIGTERM  end it; requests under way get 10 seconds
  SIGHUP           read its certificates (after cert) and web pages again; connections go on

Exit codes: 0 done, 1 everything else.`,
  );

program
  .command('init')
  .description('make keys, certificates and the INI of a new server')
  .usage('-p <PATH> -q <QUOTA> [options]')
  .requiredOption('-p, --path <PATH>', 'folder of the chunks (required)')
  .requiredOption('-q, --quota <QUOTA>', 'storage quota, e.g. 100gb (required)', quota)
  .option('-n, --fqdn <FQDN>', 'host name of the server')
  .option('--ip <IP>', 'IP address of the server, unless there is a host name', '127.0.0.1')
  .addOption(algorithm().default('ED448'))
  .option('-l, --store-log', 'keep a store log (always on: accepted for old scripts)')
  .option('--disable-store-log', 'keep no store log: all chunks are lost when the server stops')
  .option('--web-path <PATH>', 'folder of the web pages')
  .action(async (options: InitArguments) => {
    await initServer(folders, versionText, options);
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
    await startServer(folders, versionText);
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
  .command('delete')
  .description('ask, then delete configuration, keys and log; the chunks stay')
  .action(async () => {
    await deleteServer(folders);
  });

/** Options of `init`, as commander hands them over. */
interface InitArguments {
  readonly path: string;
  readonly quota: number;
  readonly fqdn?: string;
  readonly ip: string;
  readonly signAlgorithm: 'ED448' | 'ED25519';
  readonly disableStoreLog?: boolean;
  readonly webPath?: string;
}

if (process.argv.length <= 2) {
  surviveClosedOutput();
  program.outputHelp();
} else {
  const output = new HumanOutput({ verbose: false });
  // As the reference, which knows no other code.
  await runProgram(
    program,
    () => output,
    () => EXIT_FAILURE,
  );
}

function quota(text: string): number {
  try {
    return parseSizeText(text);
  } catch {
    throw new InvalidArgumentError('Expected a number with kb, mb or gb, for example 100gb.');
  }
}
