import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatDescription,
  MAX_DESCRIPTION_LENGTH,
  parseDescription,
} from '#src/protocol/description-yaml.js';
import { XftpError } from '#src/protocol/failure.js';
import { BRIEFLY, fixture, minimal, mutated, parseOrFailure } from './description-samples.js';

/** Processor time in ms: far above what any text needs here, far below what quadratic work on it would take. */
const LONG_MS = 8000;

/** Expects the description to be refused before long. */
function expectRefused(text: string): void {
  const start = process.cpuUsage();
  expect(() => parseDescription(text)).toThrow(expect.objectContaining({ code: 'INVALID_DESCRIPTION' }));
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(LONG_MS);
}

const fill = (unit: string, length = MAX_DESCRIPTION_LENGTH): string =>
  unit.repeat(Math.floor(length / unit.length));

describe('a hostile description', () => {
  it('gives a description or a failure when it is a few edits away from a real one', () => {
    fc.assert(
      fc.property(fc.oneof(mutated(minimal), mutated(fixture), mutated(JSON.stringify(minimal))), (text) => {
        const read = parseOrFailure(() => parseDescription(text, { checkLengths: false }));
        if (read instanceof XftpError) expect(read.code).toBe('INVALID_DESCRIPTION');
        else expect(formatDescription(read)).toContain('party: ');
      }),
      BRIEFLY,
    );
  });

  it('gives a failure when it is made of the signs of YAML', () => {
    const noise = fc.string({
      unit: fc.constantFrom(...Array.from('[]{}:,-&*!|>\'"%@`? \n\tab#0~=')),
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.oneof(noise, fc.string({ unit: 'binary' })), (text) => {
        expect(parseOrFailure(() => parseDescription(text))).toMatchObject({ code: 'INVALID_DESCRIPTION' });
      }),
      BRIEFLY,
    );
  });

  it.each([
    ['flow sequences', fill('[', 100_000)],
    ['flow mappings', fill('{a: ', 100_000)],
    ['block sequences', fill('- ', 100_000)],
    ['explicit keys', fill('? ', 100_000)],
    ['the longest flow sequences', fill('[')],
    ['the longest block sequences', fill('- ')],
  ])('is refused when it nests %s deeply', (_, text) => {
    expectRefused(text);
  });

  it.each([
    ['line ends', fill('\n')],
    ['blanks', fill(' ')],
    ['comments', fill('#\n')],
    ['commas', `[${fill(',', 190_000)}]`],
    ['quotes', fill('"', 190_000)],
    ['tags', fill('!a ', 190_000)],
    ['documents', fill('---\n')],
    ['folded lines', `a: >\n${fill(' a\n', MAX_DESCRIPTION_LENGTH - 10)}`],
    ['aliases', `a: &x b\nc: [${fill('*x,', 190_000)}]\n`],
    ['repeated keys', fill('k:\n', 190_000)],
    ['different keys', Array.from({ length: 30_000 }, (_, index) => `k${String(index)}:\n`).join('')],
  ])('is refused in reasonable time when it is full of %s', (_, text) => {
    expectRefused(text);
  });

  it('is refused when its aliases multiply', () => {
    const level = (name: string, of: string): string => `${name}: &${name} [${`*${of},`.repeat(9)}]\n`;
    const names = Array.from('abcdefghijkl');
    const laughs = names.slice(1).map((name, index) => level(name, names[index] ?? 'a'));
    expect(() => parseDescription(`a: &a [x]\n${laughs.join('')}${minimal}`)).toThrow(/YAML/);
  });

  it('is refused when it is too long to be one, before it is read', () => {
    expect(() => parseDescription(`${minimal}#${fill('x')}`)).toThrow(/too long/);
  });

  it('cannot reach into objects with the names of its fields', () => {
    const read = parseDescription(`__proto__: {polluted: yes}\nconstructor: x\n${minimal}`);
    expect(formatDescription(read)).toBe(minimal);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('may be the longest one: 16384 chunks with two replicas each are read and written again', () => {
    const { chunks, ...fields } = parseDescription(minimal);
    const [chunk] = chunks;
    const [replica] = chunk?.replicas ?? [];
    if (chunk === undefined || replica === undefined) throw new Error('The sample has no replica.');
    const id = new Uint8Array(16).fill(1);
    const replicas = [
      { ...replica, id },
      { ...replica, id, server: { ...replica.server, port: 5443 } },
    ];
    const description = {
      ...fields,
      size: 65536 * 16384,
      chunks: Array.from({ length: 16384 }, (_, index) => ({ ...chunk, number: index + 1, replicas })),
    };
    const yaml = formatDescription(description);
    expect(parseDescription(yaml).chunks).toHaveLength(16384);
  });
});
