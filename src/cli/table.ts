import { cutText, padText, safeText, textWidth } from './display-text.js';

/** Blanks between two columns. */
const GAP = 2;
/** A column is not made narrower than this, whatever the width of the terminal. */
const MIN_CUT = 8;

/** A column of a table. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Made narrower when the table is too wide; other columns are not. */
  readonly cut?: boolean;
}

/**
 * A table as lines, aligned, without blanks at their ends.
 *
 * @param width columns of the terminal, for which tables are cut; none when something else reads them
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width?: number,
): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(safeText))];
  const natural = columns.map((_, index) => Math.max(...cells.map((row) => textWidth(row[index] ?? ''))));
  const widths = width === undefined ? natural : fit(columns, natural, width);
  return cells.map((row) => {
    const texts = columns.map(({ align }, index) => {
      const most = widths[index] ?? 0;
      return padText(cutText(row[index] ?? '', most), most, align);
    });
    const line = texts.join(' '.repeat(GAP)).trimEnd();
    return width === undefined ? line : cutText(line, width);
  });
}

/** Names and values below each other, such as one transfer's. */
export function formatFields(fields: readonly (readonly [string, string | undefined])[]): string[] {
  const shown = fields.filter((field): field is readonly [string, string] => field[1] !== undefined);
  const width = Math.max(0, ...shown.map(([name]) => textWidth(name)));
  return shown.map(([name, value]) => `${padText(`${name}:`, width + 1)}  ${safeText(value)}`.trimEnd());
}

/** The width of standard output if it is a terminal that knows it. */
export function outputWidth(): number | undefined {
  return process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : undefined;
}

/** Takes what is too much from the columns that may be cut, always from the widest. */
function fit(columns: readonly Column[], natural: readonly number[], width: number): readonly number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, each) => sum + each, GAP * (columns.length - 1)) - width;
  while (excess > 0) {
    let widest = -1;
    for (const [index, { cut }] of columns.entries())
      if (cut === true && (widths[index] ?? 0) > Math.max(MIN_CUT, widths[widest] ?? 0)) widest = index;
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
  return widths;
}
