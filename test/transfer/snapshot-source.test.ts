import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { randomBytes } from '#src/crypto/index.js';
import type { XftpError } from '#src/protocol/index.js';
import { checkRoom, snapshotSource } from '#src/transfer/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const MB = 1024 * 1024;

async function sourceOf(content: Uint8Array): Promise<{ path: string; target: string; folder: string }> {
  const path = join(await temporaryFolder(), 'source');
  writeFileSync(path, content);
  const folder = await temporaryFolder();
  return { path, folder, target: join(folder, 'copy') };
}

/** Runs `act` as soon as there is something at `path`. */
async function whenThere(path: string, act: () => void): Promise<void> {
  while (!existsSync(path)) await new Promise(setImmediate);
  act();
}

describe('a snapshot of a source', () => {
  it.each([0, 1, MB, 5 * MB + 7])('of %i bytes has the same bytes, for its owner only', async (length) => {
    const content = randomBytes(length);
    const { path, target, folder } = await sourceOf(content);
    chmodSync(path, 0o444);
    await snapshotSource(path, target);
    expect(readFileSync(target).equals(content)).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toStrictEqual(['copy']);
  });

  it('is made of what a link leads to, in place of what an attempt before left', async () => {
    const { path, target } = await sourceOf(randomBytes(1000));
    symlinkSync(path, `${path}.link`);
    writeFileSync(target, randomBytes(2000));
    await snapshotSource(`${path}.link`, target);
    expect(readFileSync(target).equals(readFileSync(path))).toBe(true);
  });

  it.each<[string, (path: string) => void]>([
    [
      'is touched',
      (path) => {
        utimesSync(path, 1, 1);
      },
    ],
    [
      'shrinks',
      (path) => {
        truncateSync(path, 10);
      },
    ],
    [
      'grows',
      (path) => {
        truncateSync(path, 80 * MB);
      },
    ],
  ])('of one that %s meanwhile is SOURCE_CHANGED, and not there', async (_, change) => {
    const { path, target, folder } = await sourceOf(new Uint8Array(64 * MB));
    const outcome = expect(snapshotSource(path, target)).rejects.toThrow(failing('SOURCE_CHANGED'));
    await whenThere(target, () => {
      change(path);
    });
    await outcome;
    expect(readdirSync(folder)).toStrictEqual([]);
  });

  it('is given up when it is cancelled, and not there', async () => {
    const { path, target, folder } = await sourceOf(new Uint8Array(64 * MB));
    const controller = new AbortController();
    const { signal } = controller;
    const outcome = expect(snapshotSource(path, target, { signal })).rejects.toThrow(failing('CANCELLED'));
    await whenThere(target, () => {
      controller.abort();
    });
    await outcome;
    await expect(snapshotSource(path, target, { signal })).rejects.toThrow(failing('CANCELLED'));
    expect(readdirSync(folder)).toStrictEqual([]);
  });

  it('is not made of what cannot be sent, nor where it cannot be', async () => {
    const { path, target, folder } = await sourceOf(new Uint8Array(1000));
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    mkdirSync(join(folder, 'folder'));
    const cases: [string, string, XftpError['code']][] = [
      [`${path}.gone`, target, 'SOURCE_MISSING'],
      [pipe, target, 'INVALID_ARGUMENT'],
      [folder, target, 'INVALID_ARGUMENT'],
      // It has content and tells no size.
      ['/proc/version', target, 'INVALID_ARGUMENT'],
      [path, join(folder, 'gone', 'copy'), 'SOURCE_MISSING'],
    ];
    for (const [source, to, code] of cases)
      await expect(snapshotSource(source, to)).rejects.toThrow(failing(code));
    // The source is what cannot be read.
    await expect(snapshotSource('/proc/self/mem', target)).rejects.toThrow(/^\/proc\/self\/mem /);
    await expect(snapshotSource(path, target, { maxSize: 999 })).rejects.toThrow(failing('FILE_TOO_LARGE'));
    expect(readdirSync(folder).sort()).toStrictEqual(['folder', 'pipe']);
  });
});

describe('the room on a disk', () => {
  it('is enough, or DISK_FULL', async () => {
    const folder = await temporaryFolder();
    await checkRoom(folder, 1);
    await expect(checkRoom(folder, 2 ** 60)).rejects.toThrow(failing('DISK_FULL'));
    await expect(checkRoom(join(folder, 'gone'), 1)).rejects.toThrow(failing('SOURCE_MISSING'));
  });
});
