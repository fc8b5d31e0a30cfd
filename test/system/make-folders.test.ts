import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { makeFolders, removeEmptyFolders } from '#src/system/index.js';
import { temporaryFolder } from '../support/temporary-folder.js';

describe('a folder that is needed', () => {
  it('is made with those above it, at once for all who need it', async () => {
    const path = join(await temporaryFolder(), 'a', 'b', 'c');
    await Promise.all([
      makeFolders(path, 0o700),
      makeFolders(path, 0o700),
      makeFolders(join(path, '..', 'd')),
    ]);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await makeFolders(path);
  });

  it('is told with those that had to be made for it, and no others', async () => {
    const folder = await temporaryFolder();
    const [a, b, c] = [join(folder, 'a'), join(folder, 'a', 'b'), join(folder, 'a', 'b', 'c')];
    expect(await makeFolders(a)).toEqual([a]);
    expect(await makeFolders(c)).toEqual([b, c]);
    expect(await makeFolders(c)).toEqual([]);
  });

  it('that cannot be made leaves none that was made for it', async () => {
    const folder = await temporaryFolder();
    const tooLong = 'x'.repeat(300);
    await expect(makeFolders(join(folder, 'a', 'b', tooLong))).rejects.toMatchObject({
      code: 'ENAMETOOLONG',
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('may be behind a link', async () => {
    const folder = await temporaryFolder();
    await symlink(folder, join(folder, 'link'));
    await makeFolders(join(folder, 'link'));
    await makeFolders(join(folder, 'link', 'a', 'b'));
    expect((await stat(join(folder, 'a', 'b'))).isDirectory()).toBe(true);
  });

  it('is not made where a file is', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'file'), '');
    await expect(makeFolders(join(folder, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeFolders(join(folder, 'file', 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  it.runIf(process.platform === 'linux')(
    'is refused, not tried for ever, where the system has none',
    async () => {
      await expect(makeFolders('/proc/none/a')).rejects.toMatchObject({ code: 'ENOENT' });
    },
  );
});

describe('folders that are no longer needed', () => {
  it('are removed as far as they are empty', async () => {
    const folder = await temporaryFolder();
    const made = await makeFolders(join(folder, 'a', 'b', 'c'));
    await mkdir(join(folder, 'a', 'other'));
    await removeEmptyFolders(made);
    expect(await readdir(join(folder, 'a'))).toEqual(['other']);
  });
});
