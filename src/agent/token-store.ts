import { constantTimeEqual, randomBytes, sha256 } from '../crypto/index.js';
import { encodeBase64Url, encodeUtf8, XftpError } from '../protocol/index.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { TokenInfo, TokenScope } from './model.js';

/** Random bytes in a token: nobody guesses 256 bits. */
const TOKEN_LENGTH = 32;

interface TokenRow {
  readonly id: number;
  readonly name: string;
  readonly digest: Buffer;
  readonly scope: TokenScope;
  readonly folders: string | null;
  readonly created_at: number;
}

/** Access tokens. Only their digests are kept. */
export class TokenStore {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  list(): TokenInfo[] {
    return this.#rows().map(toInfo);
  }

  /** @throws XftpError INVALID_ARGUMENT when the name is taken */
  create(token: {
    readonly name: string;
    readonly scope: TokenScope;
    readonly folders?: readonly string[];
  }): TokenInfo & { readonly token: string } {
    if (this.#database.get('SELECT 1 FROM tokens WHERE name = ?', token.name) !== undefined)
      throw new XftpError(
        'INVALID_ARGUMENT',
        `There is a token named ${token.name} already: choose another name.`,
      );
    const secret = encodeBase64Url(randomBytes(TOKEN_LENGTH)).replaceAll('=', '');
    const { lastId } = this.#database.run(
      'INSERT INTO tokens (name, digest, scope, folders, created_at) VALUES (?, ?, ?, ?, ?)',
      token.name,
      digestOf(secret),
      token.scope,
      token.folders === undefined ? null : JSON.stringify(token.folders),
      this.#clock.now(),
    );
    const row = this.#rows().find(({ id }) => id === lastId);
    if (row === undefined) throw new XftpError('NOT_FOUND', 'The token was not stored.');
    return { ...toInfo(row), token: secret };
  }

  /** @throws XftpError NOT_FOUND, ILLEGAL_STATE for the last one that may do everything */
  revoke(id: number): void {
    const rows = this.#rows();
    const row = rows.find((other) => other.id === id);
    if (row === undefined) throw new XftpError('NOT_FOUND', `There is no token ${String(id)}.`);
    if (row.scope === 'admin' && rows.filter(({ scope }) => scope === 'admin').length === 1)
      throw new XftpError(
        'ILLEGAL_STATE',
        'This is the last token with scope admin: create another one first.',
      );
    this.#database.run('DELETE FROM tokens WHERE id = ?', id);
  }

  /** The token with this secret. All are compared, in constant time. */
  authenticate(secret: string): TokenInfo | undefined {
    const digest = digestOf(secret);
    const found = this.#rows().filter((row) => constantTimeEqual(row.digest, digest));
    return found[0] === undefined ? undefined : toInfo(found[0]);
  }

  #rows(): TokenRow[] {
    return this.#database.all<TokenRow>('SELECT * FROM tokens ORDER BY id');
  }
}

function digestOf(secret: string): Uint8Array {
  return sha256(encodeUtf8(secret));
}

function toInfo({ id, name, scope, folders, created_at }: TokenRow): TokenInfo {
  return {
    id,
    name,
    scope,
    ...(folders === null ? {} : { folders: JSON.parse(folders) as string[] }),
    createdAt: created_at,
  };
}
