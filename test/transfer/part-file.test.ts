import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

import { describe, expect, it } from 'vitest';

import { modeProbePath } from '#src/transfer/file-mode.js';
import { PartFile } from '#src/transfer/part-file.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';

async function writtenPart(part: PartFile, name: string, content: string): Promise<string> {
  const path = await part.choosePath(name, content.length);
  writeFileSync(path, content, { flag: 'wx' });
  return path;
}

describe('a destination', () => {
  it('may be a folder that exists or a path that does not', async () => {
    const folder = await temporaryFolder();
    await new PartFile({ folder }).checkDestination();
    await new PartFile({ path: join(folder, 'new') }).checkDestination();
    await new PartFile({ path: relative(process.cwd(), join(folder, 'new')) }).checkDestination();
  });

  it('is refused early when it cannot work', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const refusal = (destination: ConstructorParameters<typeof PartFile>[0]): Promise<unknown> =>
      new PartFile(destination).checkDestination().catch((error: unknown) => error);
    expect(await refusal({ path: file })).toStrictEqual(failing('FILE_EXISTS'));
    expect(await refusal({ path: folder })).toStrictEqual(failing('FILE_EXISTS'));
    expect(await refusal({ folder: file })).toStrictEqual(failing('INVALID_ARGUMENT'));
    expect(await refusal({ folder: join(folder, 'missing') })).toStrictEqual(failing('SOURCE_MISSING'));
    expect(await refusal({ path: join(folder, 'missing', 'new') })).toStrictEqual(failing('SOURCE_MISSING'));
  });
});

describe('a part file', () => {
  it('grows hidden beside its destination and gets its name in the end', async () => {
    const folder = await temporaryFolder();
    const part = new PartFile({ folder });
    const path = await writtenPart(part, '../a.txt', 'content');
    expect(dirname(path)).toBe(folder);
    expect(basename(path)).toMatch(/^\..*a\.txt.*part$/);
    expect(await part.place('../a.txt')).toBe(join(folder, 'a.txt'));
    expect(readdirSync(folder)).toStrictEqual(['a.txt']);
  });

  it('gets exactly the path that was asked for, absolute, whatever the sender says', async () => {
    const folder = await temporaryFolder();
    const wanted = join(folder, 'wanted.bin');
    const part = new PartFile({ path: relative(process.cwd(), wanted) });
    await writtenPart(part, 'sent.txt', 'content');
    expect(await part.place('sent.txt')).toBe(wanted);
    expect(readFileSync(wanted, 'utf8')).toBe('content');
  });

  it('has a name of its own each time, of at most 255 bytes', async () => {
    const folder = await temporaryFolder();
    const name = `${'é'.repeat(200)}.txt`;
    const paths = await Promise.all(
      Array.from({ length: 20 }, () => writtenPart(new PartFile({ folder }), name, '')),
    );
    expect(new Set(paths).size).toBe(20);
    for (const path of paths) expect(Buffer.byteLength(basename(path))).toBeLessThanOrEqual(255);
  });

  it('of a name that is taken gets a number, and the other file stays', async () => {
    const folder = await temporaryFolder();
    writeFileSync(join(folder, 'a.txt'), 'old');
    const part = new PartFile({ folder });
    await writtenPart(part, 'a.txt', 'new');
    expect(await part.place('a.txt')).toBe(join(folder, 'a_1.txt'));
    expect(readFileSync(join(folder, 'a.txt'), 'utf8')).toBe('old');
  });

  it('whose path was taken meanwhile stays, and is discarded', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'a.txt');
    const part = new PartFile({ path });
    await part.checkDestination();
    const partPath = await writtenPart(part, 'a.txt', 'new');
    writeFileSync(path, 'meanwhile');
    await expect(part.place('a.txt')).rejects.toThrow(failing('FILE_EXISTS'));
    expect(existsSync(partPath)).toBe(true);
    await part.discard();
    expect(readdirSync(folder)).toStrictEqual(['a.txt']);
    expect(readFileSync(path, 'utf8')).toBe('meanwhile');
  });

  it('that is discarded is gone; one that was placed stays', async () => {
    const folder = await temporaryFolder();
    const part = new PartFile({ folder });
    await part.discard();
    await writtenPart(part, 'a', 'x');
    await part.discard();
    expect(readdirSync(folder)).toStrictEqual([]);
    await writtenPart(part, 'a', 'x');
    await part.place('a');
    await part.discard();
    expect(readdirSync(folder)).toStrictEqual(['a']);
  });

  it('is not begun when the disk has no room for it', async () => {
    const part = new PartFile({ folder: await temporaryFolder() });
    await expect(part.choosePath('a', 2 ** 60)).rejects.toThrow(failing('DISK_FULL'));
  });

  it('is not begun in a folder that has gone: a failure of the project', async () => {
    const folder = join(await temporaryFolder(), 'gone');
    mkdirSync(folder);
    const part = new PartFile({ folder });
    await part.checkDestination();
    rmSync(folder, { recursive: true });
    await expect(part.choosePath('a', 1)).rejects.toThrow(failing('SOURCE_MISSING'));
  });

  it('whose folder was removed meanwhile cannot be placed, and the folder is named', async () => {
    const folder = join(await temporaryFolder(), 'gone');
    for (const destination of [{ folder }, { path: join(folder, 'a') }]) {
      mkdirSync(folder);
      const part = new PartFile(destination);
      await writtenPart(part, 'a', 'x');
      rmSync(folder, { recursive: true });
      await expect(part.place('a')).rejects.toMatchObject({
        code: 'SOURCE_MISSING',
        message: `The folder ${folder} is gone: make it again, or choose another one.`,
      });
    }
  });

  it('is removed at once with what its mode was learned from', async () => {
    const folder = await temporaryFolder();
    const part = new PartFile({ folder });
    part.discardNow();
    const path = await writtenPart(part, 'a', 'x');
    writeFileSync(modeProbePath(path), '');
    part.discardNow();
    part.discardNow();
    expect(readdirSync(folder)).toStrictEqual([]);
  });

  it('that was never begun cannot be placed', async () => {
    const folder = await temporaryFolder();
    await expect(new PartFile({ folder }).place('a')).rejects.toThrow(failing('INVALID_ARGUMENT'));
    expect(statSync(folder).isDirectory()).toBe(true);
  });
});
