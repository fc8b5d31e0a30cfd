import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { CipherPool, discardPart, finishPart, type PartToFinish } from '#src/transfer/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const ciphers = new CipherPool();
const CONTENT = 'the content';
const NAME = 'a.txt';

afterAll(() => ciphers.close());

interface Finish {
  readonly directory: string;
  readonly part: PartToFinish;
  /** The paths that were recorded, in order. */
  readonly chosen: string[];
  /** `crash` runs after a path was recorded. */
  readonly run: (more?: Partial<PartToFinish>, crash?: (path: string) => void) => Promise<string>;
  /** Names and contents of all files, without the folders. */
  readonly files: () => Record<string, string>;
}

/** A verified part file: content, then padding and tag. */
async function partIn(onConflict: PartToFinish['onConflict'] = 'rename'): Promise<Finish> {
  const directory = await temporaryFolder();
  const partPath = join(directory, '.1234.part');
  writeFileSync(partPath, `${CONTENT}######0123456789abcdef`, { mode: 0o600 });
  const part = { partPath, contentLength: CONTENT.length, directory, name: NAME, onConflict };
  const chosen: string[] = [];
  const run: Finish['run'] = (more = {}, crash) =>
    finishPart(
      { ...part, ...more },
      {
        ciphers,
        onChosen: (path) => {
          chosen.push(path);
          crash?.(path);
        },
      },
    );
  const files = (): Record<string, string> =>
    Object.fromEntries(
      readdirSync(directory, { withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map(({ name }) => [name, readFileSync(join(directory, name), 'utf8')]),
    );
  return { directory, part, chosen, run, files };
}

describe('a verified part file', () => {
  it('gets its name, its length and the mode of a new file', async () => {
    const { directory, run, files, chosen } = await partIn();
    const path = await run({ directory: relative(process.cwd(), directory) });
    expect(path).toBe(join(directory, NAME));
    expect(chosen).toStrictEqual([path]);
    expect(files()).toStrictEqual({ [NAME]: CONTENT });
    writeFileSync(join(directory, 'new'), '');
    expect(statSync(path).mode).toBe(statSync(join(directory, 'new')).mode);
  });

  it('may be empty', async () => {
    const { run, files } = await partIn();
    await run({ contentLength: 0 });
    expect(files()).toStrictEqual({ [NAME]: '' });
  });

  it('gets a number when its name is taken, before the path is recorded or after', async () => {
    const { directory, run, files, chosen } = await partIn();
    writeFileSync(join(directory, NAME), 'old');
    const path = await run({}, (chosenPath) => {
      if (chosenPath.endsWith('_1.txt')) writeFileSync(chosenPath, 'meanwhile');
    });
    expect(path).toBe(join(directory, 'a_2.txt'));
    expect(chosen).toStrictEqual([join(directory, 'a_1.txt'), path]);
    expect(files()).toStrictEqual({ [NAME]: 'old', 'a_1.txt': 'meanwhile', 'a_2.txt': CONTENT });
  });

  it('replaces the other file when it may, and a link instead of what it leads to', async () => {
    const { directory, run, files } = await partIn('overwrite');
    writeFileSync(join(directory, 'other'), 'other');
    symlinkSync(join(directory, 'other'), join(directory, NAME));
    expect(await run()).toBe(join(directory, NAME));
    expect(files()).toStrictEqual({ [NAME]: CONTENT, other: 'other' });
  });

  it('does not replace a folder', async () => {
    const { directory, run, part } = await partIn('overwrite');
    mkdirSync(join(directory, NAME));
    await expect(run()).rejects.toThrow(failing('INVALID_ARGUMENT'));
    await expect(run()).rejects.toThrow(`${join(directory, NAME)} is a folder`);
    expect(statSync(part.partPath).mode & 0o777).toBe(0o600);
  });

  it('stays when its name is taken and must not be changed, and can be placed later', async () => {
    const { directory, run, files, chosen } = await partIn('fail');
    writeFileSync(join(directory, NAME), 'old');
    await expect(run()).rejects.toThrow(failing('FILE_EXISTS'));
    expect(chosen).toStrictEqual([]);
    unlinkSync(join(directory, NAME));
    const meanwhile = run({}, (path) => {
      writeFileSync(path, 'meanwhile');
    });
    await expect(meanwhile).rejects.toThrow(failing('FILE_EXISTS'));
    expect(files()).toMatchObject({ [NAME]: 'meanwhile', '.1234.part': expect.any(String) as string });
    await run({ name: 'b.txt' });
    expect(files()).toStrictEqual({ [NAME]: 'meanwhile', 'b.txt': CONTENT });
  });

  it('that somebody has cut off is FILE_CORRUPT, and one in a folder that is gone SOURCE_MISSING', async () => {
    const { directory, run, part } = await partIn();
    await expect(run({ contentLength: 1000 })).rejects.toThrow(failing('FILE_CORRUPT'));
    expect(existsSync(part.partPath)).toBe(true);
    rmSync(directory, { recursive: true });
    await expect(run()).rejects.toThrow(failing('SOURCE_MISSING'));
  });
});

describe.each(['rename', 'overwrite', 'fail'] as const)(
  'after a crash, on conflict %s, the file is delivered once',
  (onConflict) => {
    it('when the path could not be recorded', async () => {
      const { run, files } = await partIn(onConflict);
      const crash = (): void => {
        throw new Error('crash');
      };
      await expect(run({}, crash)).rejects.toThrow('crash');
      await run();
      expect(files()).toStrictEqual({ [NAME]: CONTENT });
    });

    it('when the path was recorded and nothing more', async () => {
      const { directory, run, files, chosen } = await partIn(onConflict);
      const finalPath = join(directory, 'recorded.txt');
      expect(await run({ finalPath })).toBe(finalPath);
      expect(chosen).toStrictEqual([]);
      expect(files()).toStrictEqual({ 'recorded.txt': CONTENT });
    });

    it('when it was placed', async () => {
      const { run, files, chosen } = await partIn(onConflict);
      const finalPath = await run();
      for (let again = 0; again < 2; again++) expect(await run({ finalPath })).toBe(finalPath);
      expect(chosen).toStrictEqual([finalPath]);
      expect(files()).toStrictEqual({ [NAME]: CONTENT });
    });

    it('or said to be gone: it was placed and moved away, or another file is there', async () => {
      const { directory, run, files } = await partIn(onConflict);
      const finalPath = await run();
      renameSync(finalPath, join(directory, 'moved'));
      await expect(run({ finalPath })).rejects.toThrow(failing('SOURCE_MISSING'));
      writeFileSync(finalPath, 'other');
      await expect(run({ finalPath })).rejects.toThrow(failing('SOURCE_MISSING'));
      expect(files()).toStrictEqual({ moved: CONTENT, [NAME]: 'other' });
    });
  },
);

describe('after a crash in the middle of placing', () => {
  it('the file that the mode of new files is learned from goes, with the part or when nobody wants it', async () => {
    const { directory, part, run, files } = await partIn();
    const probe = join(directory, '.1234.mode');
    writeFileSync(probe, '', { mode: 0o777 });
    const path = await run();
    expect(files()).toStrictEqual({ [NAME]: CONTENT });
    writeFileSync(join(directory, 'new'), '');
    expect(statSync(path).mode).toBe(statSync(join(directory, 'new')).mode);
    writeFileSync(probe, '');
    await discardPart(part.partPath);
    expect(existsSync(probe)).toBe(false);
  });

  it.each(['rename', 'fail'] as const)(
    'two names of one file become one, on conflict %s',
    async (onConflict) => {
      const { directory, run, files, part } = await partIn(onConflict);
      const finalPath = join(directory, NAME);
      writeFileSync(part.partPath, CONTENT);
      linkSync(part.partPath, finalPath);
      expect(await run({ finalPath })).toBe(finalPath);
      expect(files()).toStrictEqual({ [NAME]: CONTENT });
    },
  );

  it.each(['rename', 'fail'] as const)('a reserved name is used, on conflict %s', async (onConflict) => {
    const { directory, run, files, part } = await partIn(onConflict);
    const finalPath = join(directory, NAME);
    writeFileSync(finalPath, basename(part.partPath));
    expect(await run({ finalPath })).toBe(finalPath);
    expect(files()).toStrictEqual({ [NAME]: CONTENT });
  });

  it('a path that somebody else took gives way to another one, which is recorded', async () => {
    const { directory, run, files, chosen } = await partIn();
    const finalPath = join(directory, NAME);
    writeFileSync(finalPath, 'other');
    expect(await run({ finalPath })).toBe(join(directory, 'a_1.txt'));
    expect(chosen).toStrictEqual([join(directory, 'a_1.txt')]);
    expect(files()).toStrictEqual({ [NAME]: 'other', 'a_1.txt': CONTENT });
  });
});
