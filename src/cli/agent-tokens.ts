import { resolve } from 'node:path';

import { type Command, Option } from 'commander';

import type { TokenScope } from '../agent/index.js';
import { agentCommand, type CommandTools, type CommonOptions, withAgent } from './agent-command.js';
import { wholeNumber } from './number-argument.js';
import { formatTable, outputWidth } from './table.js';
import { relativeTime } from './time-text.js';

interface CreateOptions extends CommonOptions {
  readonly scope: TokenScope;
  readonly folder?: readonly string[];
}

/** `xftp-agent token …`. */
export function addTokenCommands(program: Command, tools: CommandTools): void {
  const token = program
    .command('token')
    .showHelpAfterError('(xftp-agent token --help tells more)')
    .alias('tokens')
    .description('access tokens for other programs')
    .helpCommand(false);

  agentCommand(token, 'list', 'show the tokens, without their secrets').action((options: CommonOptions) =>
    withAgent(tools, options, async ({ agent, output }) => {
      const { tokens } = await agent.tokens.list();
      const columns = [
        { title: 'NO', align: 'right' },
        { title: 'NAME', cut: true },
        { title: 'SCOPE' },
        { title: 'FOLDERS', cut: true },
        { title: 'MADE' },
      ] as const;
      const now = Date.now();
      const rows = tokens.map(({ id, name, scope, folders, createdAt }) => [
        String(id),
        name,
        scope,
        folders?.join(', ') ?? '(all)',
        relativeTime(createdAt, now),
      ]);
      output.results('token', formatTable(columns, rows, outputWidth()), tokens);
    }),
  );

  agentCommand(token, 'create', 'make a token and print it, once')
    .argument('<NAME>', 'what it is for')
    .addOption(
      new Option(
        '--scope <SCOPE>',
        'needed. read: look; submit: also start and steer transfers; admin: everything',
      )
        .choices(['read', 'submit', 'admin'])
        .makeOptionMandatory(),
    )
    .option(
      '--folder <DIR>',
      'folder that it may read from and save to (repeatable; default: all)',
      (folder: string, before: readonly string[] | undefined) => [...(before ?? []), resolve(folder)],
    )
    .action((name: string, { scope, folder, ...options }: CreateOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const created = await agent.tokens.create({ name, scope, ...(folder && { folders: [...folder] }) });
        output.result('tokenCreated', created.token, { ...created });
        output.detail('Keep it safe: it is not shown again.');
      }),
    );

  agentCommand(token, 'revoke', 'revoke a token and end its connections')
    .argument('<NO>', 'its number in the list', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .action((id: number, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        await agent.tokens.revoke({ id });
        output.result('tokenRevoked', `Token ${String(id)} is revoked.`, { id });
      }),
    );
}
