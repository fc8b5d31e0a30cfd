import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, onTestFinished } from 'vitest';

import { exitCodeOf } from '#src/cli/exit-codes.js';
import { RelayClient } from '#src/client/index.js';
import {
  type FailureCode,
  type FileDescription,
  formatDescription,
  parseServerList,
} from '#src/protocol/index.js';
import { CipherPool, sendFile, type TransferContext } from '#src/transfer/index.js';
import { type Deadlines, DEFAULT_DEADLINES, openSession, SessionPool } from '#src/transport/index.js';

import { type ProgramOptions, type ProgramResult, runProgram } from './program.js';
import { temporaryFolder } from './temporary-folder.js';

/** Runs `xftp` to its end. */
export function xftp(args: readonly string[], options: ProgramOptions = {}): Promise<ProgramResult> {
  return runProgram('xftp', args, options);
}

/** A file that was sent. */
export interface SentSample {
  readonly source: string;
  /** SHA-256 of the source. */
  readonly digest: string;
  /** Path of the sender's description. */
  readonly sender: string;
  /** Paths of the recipients' descriptions. */
  readonly recipients: readonly [string, ...string[]];
  /** An empty folder to receive into. */
  readonly into: string;
}

/** What to send. */
export interface SampleOptions {
  /** Bytes of random content. */
  readonly size?: number;
  /** Instead of random content. */
  readonly content?: Uint8Array;
  readonly name?: string;
  readonly recipients?: number;
  /** On how many relays each chunk is to be; 1 unless given. */
  readonly replicas?: number;
}

/** Makes a file with random content in a folder and returns its path. */
export async function makeFile(folder: string, size: number, name = 'sample.bin'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, randomBytes(size));
  return path;
}

/**
 * Sends a new file through the relays of the address list and writes its descriptions, as `xftp send` does, but in
 * this process: for tests of what happens afterwards.
 */
export async function sendSample(servers: string, options: SampleOptions = {}): Promise<SentSample> {
  const {
    size = 300_000,
    name = 'sample.bin',
    recipients = 1,
    replicas = 1,
    content = randomBytes(size),
  } = options;
  const folder = await temporaryFolder();
  const [into, descriptions] = [join(folder, 'into'), join(folder, `${name}.xftp`)];
  await mkdir(into);
  await mkdir(descriptions);
  const source = join(folder, name);
  await writeFile(source, content);
  const request = {
    source,
    name,
    servers: parseServerList(servers),
    recipients,
    maxSize: content.length,
    replicas: { wanted: replicas, required: replicas },
  };
  const sent = await sendFile(request, transferContext());
  const write = async (file: string, description: FileDescription): Promise<string> => {
    const path = join(descriptions, file);
    await writeFile(path, formatDescription(description));
    return path;
  };
  const [first = '', ...others] = await Promise.all(
    sent.recipients.map((description, index) => write(`rcv${String(index + 1)}.xftp`, description)),
  );
  const sender = await write('snd.xftp.private', sent.sender);
  return { source, digest: await digestOf(source), sender, recipients: [first, ...others], into };
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer); // a stream without encoding
  return hash.digest('hex');
}

/** Proves that a folder holds exactly this one file, with these bytes. */
export async function expectReceived({ into, digest }: SentSample, name = 'sample.bin'): Promise<void> {
  expect(await readdir(into)).toEqual([name]);
  expect(await digestOf(join(into, name))).toBe(digest);
}

/** Proves that a program failed as it should: its own exit code, and one sentence for a person, without a stack trace. */
export function expectFailure(result: ProgramResult, code: FailureCode, sentence: RegExp): void {
  const last = result.stderr.trimEnd().split('\n').at(-1) ?? '';
  expect({ ...result, stderr: last }).toMatchObject({
    exitCode: exitCodeOf(code),
    stderr: expect.stringMatching(sentence),
    stdout: '',
  });
  const notWarnings = result.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('Warning: '));
  expect(notWarnings).toEqual([expect.stringMatching(/^\S.*\.\)?$/)]);
}

/** Proves that nothing is in a folder, hidden files included. */
export async function expectEmpty(folder: string): Promise<void> {
  expect(await readdir(folder)).toEqual([]);
}

/** What library calls need, ended with the running test. */
export function transferContext(
  options: {
    readonly attempts?: number;
    readonly deadlines?: Partial<Deadlines>;
    /** Port of a SOCKS proxy on loopback that all goes through. */
    readonly socksPort?: number;
  } = {},
): TransferContext & { readonly warnings: readonly string[] } {
  const { socksPort } = options;
  const deadlines = { ...DEFAULT_DEADLINES, ...options.deadlines };
  const pool = new SessionPool({
    open: (server, signal, credentials) =>
      openSession(server, {
        deadlines,
        signal,
        ...(socksPort === undefined
          ? {}
          : {
              route: {
                proxy: { host: '127.0.0.1', port: socksPort },
                mode: 'always',
                onion: 'prefer',
                credentials,
              },
            }),
      }),
    sessionsPerServer: 4,
    idleMs: 60_000,
  });
  const ciphers = new CipherPool();
  onTestFinished(async () => {
    pool.close();
    await ciphers.close();
  });
  const warnings: string[] = [];
  return {
    client: new RelayClient(pool),
    ciphers,
    attempts: options.attempts ?? 1,
    onWarning: (message) => warnings.push(message),
    warnings,
  };
}
