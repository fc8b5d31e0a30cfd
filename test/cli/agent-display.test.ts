import { describe, expect, it } from 'vitest';

import { formatLogLine } from '#src/cli/agent-log.js';
import { cutText, safeText, textWidth } from '#src/cli/display-text.js';
import { formatFields, formatTable } from '#src/cli/table.js';
import { elapsed, parseDuration, relativeTime } from '#src/cli/time-text.js';
import { percentOf, progressBar, shownIdLength } from '#src/cli/transfer-text.js';

const COLUMNS = [{ title: 'ID' }, { title: 'SIZE', align: 'right' }, { title: 'FILE', cut: true }] as const;

describe('Tables', () => {
  it('align their columns', () => {
    const rows = [
      ['a', '1', 'short'],
      ['bcd', '1000', 'a longer name'],
    ];
    expect(formatTable(COLUMNS, rows)).toEqual([
      'ID   SIZE  FILE',
      'a       1  short',
      'bcd  1000  a longer name',
    ]);
  });

  it('are cut to the width of the terminal in the columns that may be', () => {
    const [, row] = formatTable(COLUMNS, [['abc', '1000', 'a name that is much too long']], 26);
    expect(row).toBe('abc  1000  a name that is…');
    const lines = formatTable(COLUMNS, [['abcdefghijkl', '1000', 'a name that is much too long']], 20);
    for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(20);
  });

  it('stay aligned with wide characters and with marks', () => {
    const lines = formatTable(
      [{ title: 'FILE' }, { title: 'X' }],
      [
        ['写真.jpg', '|'],
        ['e\u0301te\u0301', '|'],
        ['🎉', '|'],
      ],
    );
    expect(new Set(lines.slice(1).map((line) => textWidth(line)))).toEqual(new Set([11]));
  });

  it('show no control characters of names', () => {
    expect(safeText('a\u001b[2Jb\nc\u202ed')).toBe('a\ufffd[2Jb\ufffdc\ufffdd');
    expect(formatTable([{ title: 'FILE' }], [['\u001b]0;x\u0007']])[1]).toBe('\ufffd]0;x\ufffd');
    expect(formatFields([['File', 'a\nb']])).toEqual(['File:  a\ufffdb']);
  });

  it('leave out what is absent from fields', () => {
    expect(
      formatFields([
        ['ID', '1'],
        ['Path', undefined],
        ['Direction', 'send'],
      ]),
    ).toEqual(['ID:         1', 'Direction:  send']);
  });

  it('cut texts within their columns', () => {
    expect(cutText('abc', 3)).toBe('abc');
    expect(cutText('abcd', 3)).toBe('ab…');
    expect(cutText('写真写真', 4)).toBe('写…');
    expect(cutText('abc', 0)).toBe('');
  });
});

describe('Durations', () => {
  it.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
  ])('%s is read', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '0s', '10', 'h', '1.5h', '-1h', '1h 30m', '9999999d', '1y'])('%j is refused', (text) => {
    expect(() => parseDuration(text)).toThrow(/A duration is/);
  });
});

describe('Times', () => {
  it.each([
    [0, 'just now'],
    [-9_000, 'just now'],
    [9_000, 'in a moment'],
    [-30_000, '30 s ago'],
    [-300_000, '5 min ago'],
    [3 * 3_600_000, 'in 3 h'],
    [-86_400_000, '1 day ago'],
    [2 * 86_400_000, 'in 2 days'],
  ])('%i ms from now are %s', (distance, text) => {
    const now = 1_800_000_000_000;
    expect(relativeTime(now + distance, now)).toBe(text);
  });

  it('that have passed are short', () => {
    expect(elapsed(3_700_000)).toBe('1 h 1 min');
    expect(elapsed(3 * 86_400_000)).toBe('3 days');
  });
});

describe('Progress', () => {
  it('is 100 % only at the end', () => {
    expect(percentOf(999, 1000)).toBe(99);
    expect(percentOf(1000, 1000)).toBe(100);
    expect(percentOf(0, 0)).toBe(0);
  });

  it('fills a bar', () => {
    expect(progressBar(0, 10, 4)).toBe('░░░░');
    expect(progressBar(5, 10, 4)).toBe('██░░');
    expect(progressBar(10, 10, 4)).toBe('████');
    expect(progressBar(0, 0, 4)).toBe('░░░░');
  });
});

describe('IDs in lists', () => {
  it('are as long as it takes to tell them apart', () => {
    expect(shownIdLength(['0123456789ab', 'f123456789ab'])).toBe(8);
    expect(shownIdLength(['0123456789ab', '0123456789cd'])).toBe(11);
    expect(shownIdLength([])).toBe(8);
  });
});

describe('The log', () => {
  it('has one line for a message, with time and level', () => {
    expect(formatLogLine(new Date(0), 'warn', 'two\nlines\u001b[1m ')).toBe(
      '1970-01-01T00:00:00.000Z warn  two lines [1m',
    );
  });
});
