import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import {
  formatDescription,
  formatDescriptionUri,
  parseDescription,
  parseLink,
  webLinkOf,
} from '#src/protocol/index.js';

import { cleanUp } from '../support/clean-up.js';
import { startProgram } from '../support/program.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import {
  digestOf,
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  type SentSample,
  xftp,
} from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

/** The description in a file. */
async function descriptionIn(path: string): Promise<ReturnType<typeof parseDescription>> {
  return parseDescription(await readFile(path, 'utf8'));
}

describe('xftp send', () => {
  it('writes the descriptions, for nobody else to read, and tells where they are and what the links are', async () => {
    const folder = await temporaryFolder();
    await makeFile(folder, 300_000, 'photo.jpg');
    const result = await xftp(['send', 'photo.jpg', '-n', '2', '-s', relay.address], { cwd: folder });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    const descriptions = join(folder, 'photo.jpg.xftp');
    expect(await readdir(descriptions)).toEqual(['rcv1.xftp', 'rcv2.xftp', 'snd.xftp.private']);
    for (const name of await readdir(descriptions))
      expect((await stat(join(descriptions, name))).mode & 0o777).toBe(0o600);

    const first = await descriptionIn(join(descriptions, 'rcv1.xftp'));
    expect(result.stdout).toBe(
      [
        'File uploaded!',
        'Sender file description: photo.jpg.xftp/snd.xftp.private',
        'Pass file descriptions to the recipient(s):',
        'photo.jpg.xftp/rcv1.xftp',
        'photo.jpg.xftp/rcv2.xftp',
        '',
        'Web link:',
        webLinkOf(first),
        '',
        'SimpleX link:',
        formatDescriptionUri(first),
        '',
        'The links are those of recipient 1 (rcv1.xftp); pass them to nobody else.',
        '',
      ].join('\n'),
    );
    expect(webLinkOf(first)).toMatch(/^https:\/\/127\.0\.0\.1\/#[\w-]+=*$/);
    expect(await descriptionIn(join(descriptions, 'snd.xftp.private'))).toMatchObject({ party: 'sender' });
  });

  it('puts the descriptions where it is told, and makes the folder', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 10);
    const target = join(folder, 'new', 'place');
    const { exitCode, stdout } = await xftp(['send', source, target, '-s', relay.address]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`\nSender file description: ${target}/sample.bin.xftp/snd.xftp.private\n`);
    expect(await readdir(target)).toEqual(['sample.bin.xftp']);
  });

  it('gives the folder a number before all extensions when its name is taken', async () => {
    const folder = await temporaryFolder();
    await makeFile(folder, 10, 'a.tar.gz');
    for (let round = 0; round < 3; round++)
      expect(await xftp(['send', 'a.tar.gz', '-s', relay.address], { cwd: folder })).toMatchObject({
        exitCode: 0,
      });
    expect(await readdir(folder)).toEqual([
      'a.tar.gz',
      'a.tar.gz.xftp',
      'a_1.tar.gz.xftp',
      'a_2.tar.gz.xftp',
    ]);
  });

  it('and recv keep names with spaces, other scripts, leading dashes and dots, and what shells would change', async () => {
    const folder = await temporaryFolder();
    const names = [
      'two  spaces.txt',
      'naïve – 文件 🚀.txt',
      '-rf.txt',
      '--help',
      '.hidden',
      '$HOME `x` "y".txt',
    ];
    await Promise.all(
      names.map(async (name, index) => {
        const source = await makeFile(folder, 1000 + index, name);
        const into = join(folder, String(index));
        await mkdir(into);
        const sending = await xftp(['send', '-s', relay.address, '--', name], { cwd: folder });
        expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
        const receiving = await xftp(['recv', '-y', '--', `${name}.xftp/rcv1.xftp`, into], { cwd: folder });
        expect(receiving).toMatchObject({ exitCode: 0, stderr: '' });
        // Some systems forbid quotation marks.
        const received = name.replaceAll('"', '_');
        expect(await readdir(into)).toEqual([received]);
        expect(await digestOf(join(into, received))).toBe(await digestOf(source));
      }),
    );
  });

  it('and recv keep a name of 255 bytes', async () => {
    const folder = await temporaryFolder();
    const name = `${'n'.repeat(251)}.txt`;
    const [source, into] = [await makeFile(folder, 1000, name), join(folder, 'into')];
    await mkdir(into);
    const sending = await xftp(['send', name, '-s', relay.address], { cwd: folder });
    expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
    const [descriptions = ''] = (await readdir(folder)).filter((entry) => entry.endsWith('.xftp'));
    const receiving = await xftp(['recv', join(descriptions, 'rcv1.xftp'), into, '-y'], { cwd: folder });
    expect(receiving).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readdir(into)).toEqual([name]);
    expect(await digestOf(join(into, name))).toBe(await digestOf(source));
  });

  it('says more with -v, and still sends', async () => {
    const folder = await temporaryFolder();
    await makeFile(folder, 10);
    const result = await xftp(['send', 'sample.bin', '-s', relay.address, '-v'], { cwd: folder });
    expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('File uploaded!') });
  });
});

describe('xftp recv', () => {
  it('puts the file into a folder and asks whether to delete the description', async () => {
    const sent = await sendSample(relay.address);
    const result = await xftp(['recv', sent.recipients[0], sent.into]);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    // No answer: the description stays.
    expect(result.stdout).toBe(
      `File downloaded: ${join(sent.into, 'sample.bin')}\n` +
        `File description ${sent.recipients[0]} can't be used again. Delete it (Y/n): \n`,
    );
    await expectReceived(sent);
    expect(await stat(sent.recipients[0])).toBeDefined();
  });

  it('asks until it is answered, and deletes the description after y, yes and Enter only', async () => {
    const answers = [
      ['y\n', true, 1],
      ['\n', true, 1],
      ['YES\n', true, 1],
      ['n\n', false, 1],
      ['No\n', false, 1],
      ['what?\nmaybe\ny\n', true, 3],
      ['what?\n', false, 2],
    ] as const;
    await Promise.all(
      answers.map(async ([input, deleted, questions]) => {
        const sent = await sendSample(relay.address, { size: 10 });
        const [description] = sent.recipients;
        const result = await xftp(['recv', description, sent.into], { input });
        expect(result).toMatchObject({ exitCode: 0, stderr: '' });
        expect(result.stdout.split('Delete it (Y/n): ')).toHaveLength(questions + 1);
        expect(result.stdout.includes(`File description ${description} is deleted.\n`)).toBe(deleted);
        expect((await readdir(join(description, '..'))).includes('rcv1.xftp')).toBe(!deleted);
      }),
    );
  });

  it('with -y deletes the description without asking', async () => {
    const sent = await sendSample(relay.address);
    const result = await xftp(['recv', '-y', sent.recipients[0], sent.into]);
    expect(result.stdout).toBe(
      `File downloaded: ${join(sent.into, 'sample.bin')}\nFile description ${sent.recipients[0]} is deleted.\n`,
    );
    expect(await readdir(join(sent.recipients[0], '..'))).toEqual(['snd.xftp.private']);
  });

  it('takes a path for the file to be, and never overwrites one', async () => {
    const sent = await sendSample(relay.address);
    const path = join(sent.into, 'other name.bin');
    expect(await xftp(['recv', sent.recipients[0], path, '-y'])).toMatchObject({ exitCode: 0 });
    await expectReceived(sent, 'other name.bin');

    const another = await sendSample(relay.address);
    const result = await xftp(['recv', another.recipients[0], path, '-y']);
    expectFailure(result, 'FILE_EXISTS', /other name\.bin exists already: choose another name or folder\.$/);
    await expectReceived(sent, 'other name.bin');
    expect(await xftp(['recv', another.recipients[0], another.into])).toMatchObject({ exitCode: 0 });
  });

  it('goes to the Downloads folder when it is told nothing', async () => {
    const sent = await sendSample(relay.address);
    const home = await temporaryFolder();
    const result = await xftp(['recv', sent.recipients[0], '-y'], { env: { HOME: home } });
    expect(result).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(`${home}/Downloads/sample.bin\n`),
    });
    await expectReceived({ ...sent, into: join(home, 'Downloads') });
  });

  it('says that a folder does not exist', async () => {
    const sent = await sendSample(relay.address, { size: 10 });
    const result = await xftp(['recv', sent.recipients[0], join(sent.into, 'no', 'file'), '-y']);
    expectFailure(result, 'SOURCE_MISSING', /\/no does not exist\.$/);
  });

  it('refuses a description that was used already', async () => {
    const sent = await sendSample(relay.address);
    expect(await xftp(['recv', sent.recipients[0], sent.into])).toMatchObject({ exitCode: 0 });
    const again = await xftp(['recv', sent.recipients[0], sent.into]);
    expectFailure(
      again,
      'CHUNK_GONE',
      /it has expired, was deleted, or this description was used already\.$/,
    );
    await expectReceived(sent);
  });

  it('twice at the same time into one folder gives two names', async () => {
    const sent = await sendSample(relay.address, { size: 3_000_000, recipients: 2 });
    const programs = sent.recipients.map((path) => startProgram('xftp', ['recv', path, sent.into, '-y']));
    for (const { ended } of programs) expect(await ended).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readdir(sent.into)).toEqual(['sample.bin', 'sample_1.bin']);
    for (const name of await readdir(sent.into))
      expect(await digestOf(join(sent.into, name))).toBe(sent.digest);
  });
});

describe('xftp recv of a link', () => {
  it.each(['web', 'simplex'] as const)('(%s) receives the file and asks nothing', async (kind) => {
    const sent = await sendSample(relay.address);
    const description = await descriptionIn(sent.recipients[0]);
    const link = kind === 'web' ? webLinkOf(description) : formatDescriptionUri(description);
    const result = await xftp(['recv', link, sent.into]);
    expect(result).toEqual({
      exitCode: 0,
      signal: null,
      stderr: '',
      stdout: `File downloaded: ${join(sent.into, 'sample.bin')}\n`,
    });
    await expectReceived(sent);
    expectFailure(await xftp(['recv', link, sent.into]), 'CHUNK_GONE', /used already\.$/);
  });

  /** A description whose file is the description of the sample. */
  async function redirectTo(sent: SentSample, change: { size?: number } = {}): Promise<string> {
    const inner = await descriptionIn(sent.recipients[0]);
    const outer = await sendSample(relay.address, { content: await readFile(sent.recipients[0]) });
    const redirect = { size: inner.size, digest: inner.digest, ...change };
    const path = join(outer.into, 'redirect.xftp');
    await writeFile(path, formatDescription({ ...(await descriptionIn(outer.recipients[0])), redirect }));
    return path;
  }

  it('that is a redirect receives the file that it leads to, and uses up both', async () => {
    const sent = await sendSample(relay.address);
    const link = webLinkOf(await descriptionIn(await redirectTo(sent)));
    expect(parseLink(link).redirect).toBeDefined();
    expect(await xftp(['recv', link, sent.into])).toMatchObject({ exitCode: 0, stderr: '' });
    await expectReceived(sent);
    expectFailure(await xftp(['recv', link, sent.into]), 'CHUNK_GONE', /used already\.$/);
  });

  it('that is a redirect to something else is refused', async () => {
    const sent = await sendSample(relay.address);
    const result = await xftp(['recv', await redirectTo(sent, { size: 1 }), sent.into, '-y']);
    expectFailure(result, 'REDIRECT_MISMATCH', /^The link is a redirect that cannot be followed: .*\.$/);
    expect(await readdir(sent.into)).toEqual([]);
  });

  it('that is a redirect to a redirect is refused', async () => {
    const sent = await sendSample(relay.address);
    const middle = await redirectTo(sent);
    const link = await redirectTo({ ...sent, recipients: [middle] });
    const result = await xftp(['recv', link, sent.into, '-y']);
    expectFailure(result, 'REDIRECT_MISMATCH', /it leads to another redirect, and only one is followed\.$/);
  });
});

describe('xftp del, info and rand', () => {
  it('del deletes the file from its relay and asks about the description', async () => {
    const before = await relay.chunkPaths();
    const sent = await sendSample(relay.address);
    const result = await xftp(['del', sent.sender], { input: 'y\n' });
    expect(result).toEqual({
      exitCode: 0,
      signal: null,
      stderr: '',
      stdout:
        `File deleted!\nFile description ${sent.sender} can't be used again. Delete it (Y/n): ` +
        `File description ${sent.sender} is deleted.\n`,
    });
    expect(await relay.chunkPaths()).toEqual(before);
    expect(await readdir(join(sent.sender, '..'))).toEqual(['rcv1.xftp']);
  });

  it('del leaves the file of a recipient alone', async () => {
    const sent = await sendSample(relay.address);
    const result = await xftp(['del', sent.recipients[0], '-y']);
    expectFailure(result, 'INVALID_DESCRIPTION', /only the sender's description .* can delete the file\.$/);
    expect(await xftp(['recv', sent.recipients[0], sent.into, '-y'])).toMatchObject({ exitCode: 0 });
    await expectReceived(sent);
  });

  it('info tells size and servers of both kinds of description', async () => {
    const { sender, recipients } = await sendSample(relay.address, { size: 300_000 });
    const rest = `File download size: 320kb\nFile server(s):\n${relay.address}: 320kb\n`;
    const link = formatDescriptionUri(await descriptionIn(recipients[0]));
    for (const from of [recipients[0], link])
      expect((await xftp(['info', from])).stdout).toBe(`Recipient file description\n${rest}`);
    expect((await xftp(['info', sender])).stdout).toBe(`Sender file description\n${rest}`);
  });

  it('rand makes a file of the size and overwrites none', async () => {
    const path = join(await temporaryFolder(), 'random.bin');
    expect(await xftp(['rand', path, '3mb'])).toMatchObject({
      exitCode: 0,
      stdout: `File created: ${path}\n`,
    });
    expect((await stat(path)).size).toBe(3 * 1024 ** 2);
    const digest = await digestOf(path);
    expectFailure(await xftp(['rand', path, '1kb']), 'FILE_EXISTS', /exists already/);
    expect(await digestOf(path)).toBe(digest);
  });
});
