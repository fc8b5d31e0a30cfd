import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { numberedName, safeFileName } from '#src/transfer/file-name.js';
import { placeExact, placeUnique } from '#src/transfer/place-file.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';

describe('a name from the network', () => {
  it.each([
    ['photo of café.jpg', 'photo of café.jpg'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\boot.ini', 'boot.ini'],
    ['/etc/passwd', 'passwd'],
    ['C:\\Windows\\win.ini', 'win.ini'],
    ['folder/', 'folder'],
    ['a//', 'a'],
    ['..', 'download'],
    ['.', 'download'],
    ['...', 'download'],
    ['', 'download'],
    ['/', 'download'],
    ['../..', 'download'],
    ['   ', 'download'],
    [' . . ', 'download'],
    ['\u200b', 'download'],
    ['.bashrc', '.bashrc'],
    ['name. . .', 'name'],
    ['a\0b.txt', 'a_b.txt'],
    ['a\nb\r\tc\u0085d\u2028e', 'a_b__c_d_e'],
    ['\u001b[31mred.txt', '_[31mred.txt'],
    ['exe.\u202egpj.cmd', 'exe.gpj.cmd'],
    ['\u2066a\u2069\u200f.txt', 'a.txt'],
    ['file.txt:stream', 'file.txt_stream'],
    ['<>:"|?*', '_______'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['Aux .tar.gz', '_Aux .tar.gz'],
    ['com1.log', '_com1.log'],
    ['LPT³', '_LPT³'],
    [' con', '_con'],
    ['c\u200bon.txt', '_con.txt'],
    ['console.log', 'console.log'],
    ['com10', 'com10'],
    ['nulls.txt', 'nulls.txt'],
  ])('%j becomes %j', (name, safe) => {
    expect(safeFileName(name)).toBe(safe);
  });

  it('has at most 255 bytes and keeps its extension', () => {
    expect(safeFileName('x'.repeat(255))).toBe('x'.repeat(255));
    expect(safeFileName(`${'x'.repeat(300)}.tar`)).toBe(`${'x'.repeat(251)}.tar`);
    expect(safeFileName(`con.${'x'.repeat(260)}`)).toMatch(/^_con\.x+$/);
    expect(Buffer.byteLength(safeFileName('😀'.repeat(100)))).toBe(252);
  });

  it('is always one safe path component, and safe already when it is made safe again', () => {
    const nasty = fc.string({
      unit: fc.oneof(
        fc.constantFrom(
          '.',
          ' ',
          '/',
          '\\',
          '\0',
          '\u202e',
          '\u200b',
          ':',
          'con',
          'nul',
          'é',
          '😀',
          '\ud800',
        ),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
      maxLength: 300,
    });
    fc.assert(
      fc.property(nasty, (name) => {
        const safe = safeFileName(name);
        expect(safe).not.toMatch(/[/\\\p{Cc}<>:"|?*\u202a-\u202e\u2066-\u2069]/u);
        expect(safe).not.toMatch(/^\s|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i);
        expect(['', '.', '..']).not.toContain(safe);
        expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(255);
        expect(safeFileName(safe)).toBe(safe);
      }),
      { numRuns: 2000, interruptAfterTimeLimit: 2000 },
    );
  });
});

describe('a numbered name', () => {
  it.each([
    ['a.txt', 0, 'a.txt'],
    ['a.txt', 1, 'a_1.txt'],
    ['a.tar.gz', 12, 'a_12.tar.gz'],
    ['a', 3, 'a_3'],
    ['.bashrc', 1, '_1.bashrc'],
    [`${'x'.repeat(251)}.txt`, 10, `${'x'.repeat(248)}_10.txt`],
    [`a.${'x'.repeat(253)}`, 1, `a.${'x'.repeat(251)}_1`],
  ])('%j with %i is %j', (name, attempt, expected) => {
    expect(numberedName(name, attempt)).toBe(expected);
  });

  it('has at most 255 bytes and differs for each number, whatever the name', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 260 }).map(safeFileName),
        fc.uniqueArray(fc.nat(9999), { minLength: 2, maxLength: 5 }),
        (name, attempts) => {
          const names = attempts.map((attempt) => numberedName(name, attempt));
          expect(new Set(names).size).toBe(names.length);
          for (const numbered of names) {
            expect(Buffer.byteLength(numbered)).toBeLessThanOrEqual(255);
            expect(numbered).not.toMatch(/[/\\]/);
          }
        },
      ),
      { interruptAfterTimeLimit: 2000 },
    );
  });
});

describe('placing a finished file', () => {
  async function partIn(folder: string, name: string, content = name): Promise<string> {
    const part = join(folder, name);
    writeFileSync(part, content);
    return Promise.resolve(part);
  }

  it('gives it its name, or the next free number', async () => {
    const folder = await temporaryFolder();
    for (const expected of ['a.txt', 'a_1.txt', 'a_2.txt']) {
      const part = await partIn(folder, 'part', expected);
      expect(await placeUnique(part, folder, 'a.txt')).toBe(join(folder, expected));
      expect(readFileSync(join(folder, expected), 'utf8')).toBe(expected);
    }
    expect(readdirSync(folder).sort()).toStrictEqual(['a.txt', 'a_1.txt', 'a_2.txt']);
  });

  it('never overwrites: twenty at once get twenty names and keep their bytes', async () => {
    const folder = await temporaryFolder();
    writeFileSync(join(folder, 'a.txt'), 'was there');
    const parts = await Promise.all(
      Array.from({ length: 20 }, (_, index) => partIn(folder, `part${String(index)}`)),
    );
    const paths = await Promise.all(parts.map((part) => placeUnique(part, folder, 'a.txt')));
    expect(new Set(paths).size).toBe(20);
    for (const [index, path] of paths.entries())
      expect(readFileSync(path, 'utf8')).toBe(`part${String(index)}`);
    expect(readFileSync(join(folder, 'a.txt'), 'utf8')).toBe('was there');
    expect(readdirSync(folder)).toHaveLength(21);
  });

  it('at an exact path lets one of twenty win, and keeps the parts of the others', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'exact');
    const parts = await Promise.all(
      Array.from({ length: 20 }, (_, index) => partIn(folder, `part${String(index)}`)),
    );
    const outcomes = await Promise.allSettled(parts.map((part) => placeExact(part, path)));
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(readFileSync(path, 'utf8')).toBe(`part${String(winner)}`);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toStrictEqual(failing('FILE_EXISTS'));
    expect(readdirSync(folder)).toHaveLength(20);
  });

  it('overwrites neither a folder nor a link that leads nowhere', async () => {
    const folder = await temporaryFolder();
    symlinkSync('/nowhere', join(folder, 'link'));
    await expect(placeExact(await partIn(folder, 'part'), join(folder, 'link'))).rejects.toThrow(
      failing('FILE_EXISTS'),
    );
    expect(await placeUnique(join(folder, 'part'), folder, 'link')).toBe(join(folder, 'link_1'));
    await expect(placeExact(await partIn(folder, 'part'), folder)).rejects.toThrow(failing('FILE_EXISTS'));
  });

  it('into a folder that has gone is a failure of the project', async () => {
    const folder = await temporaryFolder();
    const part = await partIn(folder, 'part');
    await expect(placeUnique(part, join(folder, 'gone'), 'a')).rejects.toThrow(failing('SOURCE_MISSING'));
  });
});
