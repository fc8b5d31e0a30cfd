import { Lexer, parseDocument } from 'yaml';
import { XftpError } from './failure.js';

/** Bounds for reading a document that may come from an enemy. */
export interface YamlLimits {
  /** Most UTF-16 code units of the text. */
  readonly maxLength: number;
  /** Most tokens: what the YAML parser needs is bounded by them, up to about 1 KiB of memory for each. */
  readonly maxTokens: number;
}

/** Most times that aliases may be followed, weighted by what they refer to. Real descriptions have no alias. */
const MAX_ALIASES = 100;

/**
 * Reads one YAML document of any style, also JSON. Scalars stay text, so that none is misread as a number, a date
 * or a word like `no`; mappings become `Map`s. Of repeated keys the last counts, as in the reference.
 *
 * @throws XftpError INVALID_DESCRIPTION. The message has no part of the text.
 */
export function readYaml(source: string, limits: YamlLimits): unknown {
  if (source.length > limits.maxLength) throw unreadable('it is too long');
  // To YAML this alone ends a line, too; the parser does not know it.
  const text = source.replace(/\r(?!\n)/g, '\n');
  try {
    if (hasMoreTokens(text, limits.maxTokens)) throw unreadable('it has too many parts');
    // Looking for repeated keys takes the parser quadratic time.
    const document = parseDocument(text, {
      schema: 'failsafe',
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    const [error] = document.errors;
    if (error !== undefined) throw unreadable(`line ${String(lineOf(text, error.pos[0]))} is not valid`);
    return document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    if (cause instanceof XftpError) throw cause;
    throw unreadable('it is not valid', cause);
  }
}

function hasMoreTokens(text: string, limit: number): boolean {
  const tokens = new Lexer().lex(text);
  for (let count = 0; count <= limit; count++) if (tokens.next().done === true) return false;
  return true;
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

function unreadable(reason: string, cause?: unknown): XftpError {
  return new XftpError('INVALID_DESCRIPTION', `The file description cannot be read as YAML: ${reason}.`, {
    cause,
  });
}

/** What the reference's YAML library takes for a number when it is not quoted. */
const NUMBER = /^(?:0x[\da-fA-F]+|0o[0-7]+|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)$/;

/** What it takes for a truth value or nothing, in the usual capitalisations. */
const WORDS = ['y', 'n', 'yes', 'no', 'true', 'false', 'on', 'off', 'null'];

/**
 * A scalar as the reference's emitter writes it (protocol reference, section 8.4): plain, or in single quotes where
 * plain text would read as something else. For text without blanks and without `'`, as in descriptions.
 */
export function formatYamlText(text: string): string {
  const quoted = ['', '~', '*'].includes(text) || /^---|:$/.test(text) || NUMBER.test(text) || isWord(text);
  return quoted ? `'${text}'` : text;
}

function isWord(text: string): boolean {
  const lower = text.toLowerCase();
  const capitalised = lower.charAt(0).toUpperCase() + lower.slice(1);
  return WORDS.includes(lower) && [lower, capitalised, lower.toUpperCase()].includes(text);
}
