import { stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { makeFolders } from '#src/system/index.js';
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
