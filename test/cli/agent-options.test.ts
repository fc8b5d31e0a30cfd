import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { type CommandLineOptions, resolveDataDir, resolveStartOptions } from '#src/cli/agent-options.js';
import type { FailureCode } from '#src/protocol/index.js';

import { temporaryFolder } from '../support/temporary-folder.js';

const FINGERPRINT = `${'A'.repeat(43)}=`;
const ONE = `xftp://${FINGERPRINT}@one.example`;
const TWO = `xftp://${FINGERPRINT}:pass;word@two.example`;

interface Sample {
  readonly commandLine?: CommandLineOptions;
  readonly environment?: Readonly<Record<string, string>>;
  /** Text of the configuration file at its usual place. */
  readonly config?: string;
}

async function sources({ commandLine = {}, environment = {}, config }: Sample) {
  const base = await temporaryFolder();
  const folders = {
    data: join(base, 'data'),
    downloads: join(base, 'downloads'),
    config: join(base, 'etc/config.toml'),
  };
  await mkdir(dirname(folders.config));
  if (config !== undefined) await writeFile(folders.config, config);
  return { commandLine, environment, folders, workingFolder: join(base, 'here') };
}

async function failureOf(sample: Sample): Promise<{ code: FailureCode; message: string }> {
  const given = await sources(sample);
  try {
    resolveStartOptions(given);
  } catch (error) {
    return error as { code: FailureCode; message: string }; // checked by what the tests expect of it
  }
  throw new Error('The options were accepted.');
}

describe('Options of the agent', () => {
  it('have defaults', async () => {
    const given = await sources({});
    expect(resolveStartOptions(given)).toEqual({
      dataDir: given.folders.data,
      listen: { host: '127.0.0.1', port: 0 },
      downloads: given.folders.downloads,
      servers: [],
      embeddedRelay: false,
      logLevel: 'info',
      allowOrigins: [],
    });
  });

  it('come from the command line before the environment before the configuration file', async () => {
    const config = 'listen = "127.0.0.1:1"\nlog-level = "debug"\ndownloads = "in"\nembedded-relay = true\n';
    const environment = { XFTP_AGENT_LISTEN: '127.0.0.1:2', XFTP_AGENT_LOG_LEVEL: 'warn' };
    const given = await sources({ commandLine: { listen: '127.0.0.1:3' }, environment, config });
    expect(resolveStartOptions(given)).toMatchObject({
      listen: { host: '127.0.0.1', port: 3 },
      logLevel: 'warn',
      downloads: join(dirname(given.folders.config), 'in'),
      embeddedRelay: true,
    });
  });

  it('can all be given in each place, with the same meaning', async () => {
    const toml =
      `data-dir = "/srv/data"\nlisten = "unix:/run/agent.sock"\ndownloads = "/srv/in"\n` +
      `server = [${JSON.stringify(ONE)}, ${JSON.stringify(TWO)}]\nembedded-relay = true\nlog-level = "error"\n` +
      `allow-origin = ["http://localhost:3000", "https://app.example"]\n`;
    const environment = {
      XFTP_AGENT_DATA_DIR: '/srv/data',
      XFTP_AGENT_LISTEN: 'unix:/run/agent.sock',
      XFTP_AGENT_DOWNLOADS: '/srv/in',
      XFTP_AGENT_SERVER: `${ONE};${TWO}`,
      XFTP_AGENT_EMBEDDED_RELAY: '1',
      XFTP_AGENT_LOG_LEVEL: 'error',
      XFTP_AGENT_ALLOW_ORIGIN: 'http://localhost:3000; https://app.example',
    };
    const commandLine: CommandLineOptions = {
      dataDir: '/srv/data',
      listen: 'unix:/run/agent.sock',
      downloads: '/srv/in',
      servers: [ONE, TWO],
      embeddedRelay: true,
      logLevel: 'error',
      allowOrigins: ['http://localhost:3000', 'https://app.example'],
    };
    const expected = {
      dataDir: '/srv/data',
      listen: { socketPath: '/run/agent.sock' },
      downloads: '/srv/in',
      servers: [ONE, TWO],
      embeddedRelay: true,
      logLevel: 'error',
      allowOrigins: ['http://localhost:3000', 'https://app.example'],
    };
    for (const sample of [{ config: toml }, { environment }, { commandLine }])
      expect(resolveStartOptions(await sources(sample))).toEqual(expected);
  });

  it('name another configuration file, in which relative paths begin at its folder', async () => {
    const given = await sources({ config: 'log-level = "debug"' });
    const path = join(dirname(given.folders.config), 'other.toml');
    await writeFile(path, 'data-dir = "data"\ndownloads = "~/in"\n');
    for (const named of [
      { ...given, commandLine: { config: path } },
      { ...given, environment: { XFTP_AGENT_CONFIG: path } },
    ]) {
      expect(resolveStartOptions(named)).toMatchObject({
        dataDir: join(dirname(path), 'data'),
        downloads: join(homedir(), 'in'),
        logLevel: 'info',
      });
      expect(resolveDataDir(named)).toBe(join(dirname(path), 'data'));
    }
  });

  it('begin relative paths of the command line and the environment at the working folder', async () => {
    const environment = { XFTP_AGENT_DOWNLOADS: 'in' };
    const given = await sources({ commandLine: { dataDir: 'data' }, environment });
    expect(resolveStartOptions(given)).toMatchObject({
      dataDir: join(given.workingFolder, 'data'),
      downloads: join(given.workingFolder, 'in'),
    });
  });

  it('take empty variables for none, and an IPv6 address in brackets', async () => {
    const environment = { XFTP_AGENT_LOG_LEVEL: '', XFTP_AGENT_LISTEN: '[::1]:5225', XFTP_AGENT_CONFIG: '' };
    expect(resolveStartOptions(await sources({ environment }))).toMatchObject({
      logLevel: 'info',
      listen: { host: '::1', port: 5225 },
    });
  });

  it.each<readonly [Sample, FailureCode, RegExp]>([
    [
      { commandLine: { listen: 'here' } },
      'INVALID_ARGUMENT',
      /^--listen cannot be used\. "here" is not HOST:PORT/,
    ],
    [{ commandLine: { listen: 'host:65536' } }, 'INVALID_ARGUMENT', /is not HOST:PORT/],
    [{ commandLine: { listen: 'unix:' } }, 'INVALID_ARGUMENT', /There is no path after unix:\.$/],
    [
      { commandLine: { dataDir: '' } },
      'INVALID_ARGUMENT',
      /^--data-dir cannot be used\. A path cannot be empty\.$/,
    ],
    [{ commandLine: { allowOrigins: ['*'] } }, 'INVALID_ARGUMENT', /"\*" is not an origin/],
    [{ commandLine: { allowOrigins: ['http://a/b'] } }, 'INVALID_ARGUMENT', /is not an origin/],
    [
      { environment: { XFTP_AGENT_LOG_LEVEL: 'all' } },
      'INVALID_ARGUMENT',
      /^XFTP_AGENT_LOG_LEVEL cannot be used\./,
    ],
    [{ environment: { XFTP_AGENT_EMBEDDED_RELAY: 'maybe' } }, 'INVALID_ARGUMENT', /neither true nor false/],
    [
      { environment: { XFTP_AGENT_SERVER: 'nonsense' } },
      'INVALID_ADDRESS',
      /^XFTP_AGENT_SERVER cannot be used\./,
    ],
    [{ environment: { XFTP_AGENT_CONFIG: '/nonexistent.toml' } }, 'INVALID_CONFIG', /does not exist\.$/],
    [{ config: 'log-level = "all"' }, 'INVALID_CONFIG', /^log-level in .*config\.toml cannot be used\./],
    [{ config: 'log-level = 3' }, 'INVALID_CONFIG', /^log-level in .* must be a text in quotes\.$/],
    [{ config: 'server = "xftp://"' }, 'INVALID_CONFIG', /^server in .* must be a list of texts\.$/],
    [{ config: 'embedded-relay = "yes"' }, 'INVALID_CONFIG', /must be true or false\.$/],
    [
      { config: 'colour = 1\nlisten = "a:1"\nfont = 2' },
      'INVALID_CONFIG',
      /unknown: colour, font \(known are data-dir, /,
    ],
    [{ config: 'listen = ' }, 'INVALID_CONFIG', /config\.toml, line 1 is not TOML\.$/],
  ])('are refused with their name and a reason: %j', async (sample, code, sentence) => {
    const failure = await failureOf(sample);
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(sentence);
  });

  it('are refused without repeating a password', async () => {
    const address = `xftp://short:secret@relay.example`;
    for (const sample of [
      { commandLine: { servers: [address] } },
      { config: `server = [${JSON.stringify(address)}]` },
      { config: `server = ["${address}]` },
    ])
      expect((await failureOf(sample)).message).not.toContain('secret');
  });
});
