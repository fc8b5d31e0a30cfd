import { XftpError } from '../protocol/index.js';
import type { Ini } from './ini.js';

/** Reads values of an INI; every mistake is one sentence that names line, section, key and what is expected. */
export class IniReader {
  readonly #ini: Ini;
  readonly #name: string;

  /** @param name what to call the file in error messages */
  constructor(ini: Ini, name: string) {
    this.#ini = ini;
    this.#name = name;
  }

  /** The text of a key; undefined if it is absent or empty. */
  text(section: string, key: string): string | undefined {
    const value = this.value(section, key);
    return value === '' ? undefined : value;
  }

  /** The text of a key, which may be empty; undefined if it is absent. */
  value(section: string, key: string): string | undefined {
    return this.#ini.get(section)?.get(key)?.value;
  }

  /** `on` or `off`; undefined if absent. */
  flag(section: string, key: string): boolean | undefined {
    const text = this.value(section, key);
    if (text === undefined) return undefined;
    if (text !== 'on' && text !== 'off') throw this.expected(section, key, 'on or off');
    return text === 'on';
  }

  /** One of a few words; undefined if absent. */
  choice<T extends string>(section: string, key: string, words: readonly T[]): T | undefined {
    const text = this.value(section, key);
    if (text === undefined) return undefined;
    const word = words.find((each) => each === text);
    if (word === undefined) throw this.expected(section, key, words.join(' or '));
    return word;
  }

  /** A whole number within bounds; undefined if absent. */
  integer(section: string, key: string, min: number, max: number): number | undefined {
    const text = this.value(section, key);
    if (text === undefined) return undefined;
    const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (number >= min && number <= max) return number;
    throw this.expected(section, key, `a whole number from ${String(min)} to ${String(max)}`);
  }

  /** The value, which must not be absent. */
  required<T>(section: string, key: string, value: T | undefined): T {
    if (value === undefined)
      throw new XftpError('INVALID_CONFIG', `${this.#name}: section [${section}] needs the key "${key}".`);
    return value;
  }

  /** The failure of a key whose value is not what it must be. Secrets are not shown. */
  expected(section: string, key: string, what: string, shown: 'show' | 'hide' = 'show'): XftpError {
    const entry = this.#ini.get(section)?.get(key);
    const found = shown === 'show' ? `, found ${JSON.stringify(entry?.value ?? '')}` : '';
    return new XftpError(
      'INVALID_CONFIG',
      `${this.#placeOf(entry?.place)}: [${section}] ${key} must be ${what}${found}.`,
    );
  }

  #placeOf(place: string | undefined): string {
    if (place === undefined) return this.#name;
    return place.startsWith('line ') ? `${this.#name}, ${place}` : `The environment variable ${place}`;
  }
}
