import { once } from 'node:events';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { cleanUp } from '../support/clean-up.js';
import { commandOf, type ProgramResult, startCommand } from '../support/program.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { makeFile, sendSample, xftp } from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

interface Event {
  readonly event: string;
  readonly [member: string]: unknown;
}

/** The events that `--json` printed: one object a line, and nothing else. */
function eventsOf({ stdout }: ProgramResult): Event[] {
  expect(stdout.endsWith('\n')).toBe(true);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event); // checked by what the tests expect of it
}

describe('--json', () => {
  it('tells of a transfer from one end to the other in lines that parse', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 300_000);
    const sending = await xftp(['send', source, folder, '-s', relay.address, '--json']);
    expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
    const sent = eventsOf(sending);
    expect(sent.at(-1)).toMatchObject({
      event: 'sent',
      senderDescription: join(folder, 'sample.bin.xftp/snd.xftp.private'),
      recipientDescriptions: [join(folder, 'sample.bin.xftp/rcv1.xftp')],
      webLink: expect.stringMatching(/^https:/),
      simplexLink: expect.stringMatching(/^simplex:/),
    });
    expect(sent.slice(0, -1)).toContainEqual({
      event: 'progress',
      step: 'uploading',
      done: 327_680,
      total: 327_680,
    });

    const description = join(folder, 'sample.bin.xftp/rcv1.xftp');
    const info = eventsOf(await xftp(['info', description, '--json']));
    expect(info).toEqual([
      {
        event: 'info',
        party: 'recipient',
        size: 327_680,
        chunks: 2,
        servers: [{ server: relay.address, size: 327_680 }],
      },
    ]);

    const received = join(folder, 'received.bin');
    const receiving = eventsOf(await xftp(['recv', description, received, '-y', '--json']));
    expect(receiving.map(({ event }) => event).filter((event) => event !== 'progress')).toEqual([
      'received',
      'descriptionDeleted',
    ]);
    expect(receiving).toContainEqual({ event: 'received', path: received, size: 300_000 });

    const deleting = eventsOf(
      await xftp(['del', join(folder, 'sample.bin.xftp/snd.xftp.private'), '-y', '--json']),
    );
    expect(deleting.map(({ event }) => event).filter((event) => event !== 'progress')).toEqual([
      'deleted',
      'descriptionDeleted',
    ]);
  });

  it('asks no question between its lines', async () => {
    const sent = await sendSample(relay.address);
    const result = await xftp(['recv', sent.recipients[0], sent.into, '--json']);
    expect(result.exitCode).toBe(0);
    expect(eventsOf(result)).toContainEqual(expect.objectContaining({ event: 'received' }));
    expect(await readFile(sent.recipients[0], 'utf8')).toContain('party: recipient');
  });

  it('ends a failure with an error that has the code and the words of the relay', async () => {
    const sent = await sendSample(relay.address);
    await xftp(['del', sent.sender, '-y']);
    const result = await xftp(['recv', sent.recipients[0], sent.into, '--json']);
    expect(result).toMatchObject({ exitCode: 30, stderr: '' });
    expect(eventsOf(result).at(-1)).toEqual({
      event: 'error',
      code: 'CHUNK_GONE',
      message: expect.stringMatching(/\.$/),
      wire: 'AUTH',
    });
  });
});

describe('Progress of a deletion', () => {
  it('is none when there was nothing left to delete', async () => {
    const sent = await sendSample(relay.address);
    expect(eventsOf(await xftp(['del', sent.sender, '--json'])).slice(0, -1)).toContainEqual(
      expect.objectContaining({ event: 'progress', done: 327_680, total: 327_680 }),
    );
    expect(eventsOf(await xftp(['del', sent.sender, '--json'])).map(({ event }) => event)).toEqual(['error']);
  });
});

describe('-v', () => {
  it('tells of an error of the system by its code, not in the words of Node', async () => {
    const path = join(await temporaryFolder(), 'nothing.xftp');
    expect(await xftp(['recv', path, '-v'])).toMatchObject({
      exitCode: 41,
      stderr: `${path} does not exist.\n  because: the system answered ENOENT to open.\n`,
    });
  });

  it('says nothing twice', async () => {
    const path = join(await temporaryFolder(), 'empty.xftp');
    await writeFile(path, '');
    const { stderr } = await xftp(['recv', path, '-v']);
    expect(stderr).toMatch(/^.*empty\.xftp cannot be used\. .*\n$/);
  });

  it('tells of a TLS handshake that failed in words, without lines of the library', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined).end('This is no TLS.\n');
    }).listen(0, '127.0.0.1');
    onTestFinished(() => {
      server.close();
    });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo; // listens on a TCP port
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 10);
    const address = relay.addressWith({ port });
    expect(await xftp(['send', source, folder, '-s', address, '-r', '1', '-v'])).toMatchObject({
      exitCode: 11,
      stderr: expect.stringMatching(
        /^127\.0\.0\.1:\d+ does not complete a TLS handshake as an XFTP relay does\.\n {2}because: the TLS handshake failed \([a-z ]+\)\.\n$/,
      ),
    });
  });

  it('says on which relays a file is, in how many chunks', async () => {
    const sent = await sendSample(relay.address, { size: 1000 });
    const { stderr } = await xftp(['recv', sent.recipients[0], sent.into, '-y', '-v']);
    expect(stderr).toBe(`64.0 KiB in 1 chunk on ${relay.address}.\n`);
  });
});

/** What clears the line, and how the tests write it. */
const CLEAR_LINE = '\r\u001b[2K';
const CLEARED = '<clear>';

/** A number of columns in which all lines fit, and which no line fills by chance. */
const COLUMNS = 133;

/** Runs `xftp` on a terminal, with its standard output in a file unless it is to be there too. */
async function onTerminal(
  args: readonly string[],
  options: { readonly columns?: number; readonly stdoutTo?: string } = {},
): Promise<ProgramResult> {
  const { columns = COLUMNS, stdoutTo } = options;
  const words = commandOf('xftp', args).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const command = `stty cols ${String(columns)} rows 50; ${words.join(' ')}${stdoutTo === undefined ? '' : ` > '${stdoutTo}'`}`;
  const result = await startCommand(['script', '--quiet', '--return', '--command', command, '/dev/null'])
    .ended;
  return { ...result, stdout: result.stdout.replaceAll(CLEAR_LINE, CLEARED) };
}

describe('On a terminal', () => {
  it('a line shows how far the transfer is, how fast, and is gone at the end', async () => {
    const folder = await temporaryFolder();
    const source = join(folder, 'large.bin');
    await writeFile(source, '');
    await truncate(source, 30_000_000);
    const stdoutTo = join(folder, 'stdout.txt');
    // So slow that there is a speed to show.
    const proxy = await startFaultProxy(relay.port);
    proxy.setFault({ type: 'slow', direction: 'up', bytesPerSecond: 3_000_000 });
    const address = relay.addressWith({ port: proxy.port });
    const { exitCode, stdout: screen } = await onTerminal(['send', source, folder, '-s', address], {
      stdoutTo,
    });
    proxy.setFault();
    expect(exitCode).toBe(0);
    expect(screen).toMatch(
      /<clear>Uploading \d+\.\d MiB of 2\d\.\d MiB \(\d+ %\), \d+\.\d [KM]iB\/s, \d+ s left<clear>/,
    );
    expect(screen).toContain('(100 %)');
    const lines = screen.split(CLEARED);
    expect(lines.at(-1)).toBe('');
    expect(lines.every((line) => line.length < COLUMNS)).toBe(true);
    expect(await readFile(stdoutTo, 'utf8')).toMatch(/^File uploaded!\n/);

    const description = join(folder, 'large.bin.xftp/rcv1.xftp');
    const receiving = await onTerminal(['recv', description, join(folder, 'received'), '-y']);
    expect(receiving.exitCode).toBe(0);
    expect(receiving.stdout).toMatch(/<clear>Downloading \d+\.\d MiB of .*<clear>/);
    expect(receiving.stdout).toMatch(/<clear>File downloaded: .*received\r\n/);
  });

  it('a narrow one gets a line that fits', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 3_000_000);
    const { stdout } = await onTerminal(['send', source, folder, '-s', relay.address], {
      columns: 30,
      stdoutTo: join(folder, 'stdout.txt'),
    });
    const lines = stdout.split(CLEARED);
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.every((line) => line.length < 30)).toBe(true);
  });

  it('of unknown width still gets the whole line', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 3_000_000);
    const { stdout } = await onTerminal(['send', source, folder, '-s', relay.address], {
      columns: 0,
      stdoutTo: join(folder, 'stdout.txt'),
    });
    expect(stdout).toContain('(100 %)');
  });
});

describe('--qr', () => {
  /** The modules of a QR code drawn with half blocks, light ones as ink: true is dark. */
  function modulesOf(lines: readonly string[]): boolean[][] {
    return lines.flatMap((line) => [
      Array.from(line, (character) => ' ▄'.includes(character)),
      Array.from(line, (character) => ' ▀'.includes(character)),
    ]);
  }

  const FINDER = ['#######', '#     #', '# ### #', '# ### #', '# ### #', '#     #', '#######'];

  function pattern(modules: boolean[][], top: number, left: number): string[] {
    return modules.slice(top, top + 7).map((row) =>
      row
        .slice(left, left + 7)
        .map((dark) => (dark ? '#' : ' '))
        .join(''),
    );
  }

  it('shows a code of a possible size with its three corners and a quiet zone', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 1000);
    const { stdout } = await xftp(['send', source, folder, '-s', relay.address, '--qr']);
    const link = /^simplex:.*$/m.exec(stdout)?.[0] ?? '';
    const lines = stdout.split('\n').filter((line) => /^[ ▀▄█]+$/u.test(line));
    const width = lines[0]!.length;
    expect(lines.every((line) => line.length === width)).toBe(true);

    // ISO/IEC 18004: 17 + 4 * version modules, here with 4 empty ones on each side.
    const size = width - 8;
    expect((size - 17) % 4).toBe(0);
    expect(Math.abs(lines.length * 2 - width)).toBeLessThan(2);
    const modules = modulesOf(lines);
    expect(modules.slice(0, 4).flat()).not.toContain(true);
    expect(modules.flatMap((row) => [...row.slice(0, 4), ...row.slice(-4)])).not.toContain(true);
    for (const [top, left] of [
      [4, 4],
      [4, 4 + size - 7],
      [4 + size - 7, 4],
    ] as const)
      expect(pattern(modules, top, left)).toEqual(FINDER);
    // Low error correction keeps more than 1/8 of the modules for data, so this is enough room for the link.
    expect((size * size) / 8).toBeGreaterThan(link.length);
  });

  it('says that the link of a file of many chunks is too long', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'out'));
    const source = await makeFile(folder, 30_000_000);
    const { stdout } = await xftp(['send', source, join(folder, 'out'), '-s', relay.address, '--qr']);
    expect(stdout).toContain('(The link is too long for a QR code that phones can read:');
  });

  it('says that the terminal is too narrow', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 1000);
    const { stdout } = await onTerminal(['send', source, folder, '-s', relay.address, '--qr'], {
      columns: 60,
    });
    expect(stdout).toContain('(The terminal is too narrow for the QR code.)');
  });
});
