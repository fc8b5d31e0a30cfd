import { XftpError } from '../protocol/index.js';

/** A value and where it stands. */
export interface IniEntry {
  readonly value: string;
  /** For messages: `line 6`, counted from 1, or the environment variable in its place. */
  readonly place: string;
}

/** A parsed INI file: section → key → entry. Names are case-sensitive. */
export type Ini = ReadonlyMap<string, ReadonlyMap<string, IniEntry>>;

/**
 * Reads INI text (protocol reference, section 11.3): `key = value` or `key: value`; `#` and `;` start comment
 * lines; values run to the end of the line. Of a key that is given twice the first counts, as in the reference.
 * Unlike the reference, which takes `port:443` for 43, nothing but blanks is skipped after a colon.
 *
 * @param name what to call the file in error messages
 * @throws XftpError INVALID_CONFIG for a line that is none of these
 */
export function parseIni(text: string, name: string): Ini {
  const sections = new Map<string, Map<string, IniEntry>>();
  let current: Map<string, IniEntry> | undefined;
  for (const [index, rawLine] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = rawLine.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const header = /^\[([^\]]+)\]$/.exec(line)?.[1]?.trim();
    if (header !== undefined) {
      current = sections.get(header) ?? new Map<string, IniEntry>();
      sections.set(header, current);
      continue;
    }
    const entry = parseEntry(line);
    if (entry === undefined || current === undefined)
      throw new XftpError(
        'INVALID_CONFIG',
        `${name}, line ${String(index + 1)}: expected [SECTION]${current === undefined ? '' : ' or "key = value"'}.`,
      );
    if (!current.has(entry.key))
      current.set(entry.key, { value: entry.value, place: `line ${String(index + 1)}` });
  }
  return sections;
}

function parseEntry(line: string): { key: string; value: string } | undefined {
  const delimiter = line.search(/[=:]/);
  if (delimiter <= 0) return undefined;
  return { key: line.slice(0, delimiter).trim(), value: line.slice(delimiter + 1).trim() };
}
