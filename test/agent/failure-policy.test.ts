import { describe, expect, it } from 'vitest';

import { databaseFailure } from '#src/agent/database-failure.js';
import { type Consequence, consequenceOf, toFailureInfo } from '#src/agent/failure-policy.js';
import { FAILURE_CODES, type FailureCode, XftpError } from '#src/protocol/index.js';

const TABLE: Readonly<Record<FailureCode, Consequence>> = {
  INVALID_ENCODING: 'fail',
  INVALID_BLOCK: 'fail',
  INVALID_KEY: 'fail',
  INVALID_CERTIFICATE: 'fail',
  INVALID_SIZE: 'fail',
  INVALID_ADDRESS: 'fail',
  INVALID_DESCRIPTION: 'fail',
  INVALID_LINK: 'fail',
  INVALID_CONFIG: 'fail',
  INVALID_ARGUMENT: 'fail',
  NOT_FOUND: 'fail',
  ILLEGAL_STATE: 'fail',
  UNAUTHENTICATED: 'fail',
  FORBIDDEN: 'fail',
  LIMIT_EXCEEDED: 'retry',

  CONNECT_FAILED: 'retry',
  PROXY_FAILED: 'retry',
  TLS_FAILED: 'retry',
  CONNECTION_LOST: 'retry',
  STALLED: 'retry',
  RELAY_TEMPORARY: 'retry',
  RELAY_PROTOCOL: 'retry',
  AGENT_UNREACHABLE: 'retry',

  IDENTITY_MISMATCH: 'distrust',

  RELAY_REFUSED: 'other-server',
  RELAY_FULL: 'other-server',
  RELAY_SIZE: 'other-server',
  RELAY_VERSION: 'other-server',
  TOR_REQUIRED: 'other-server',

  CHUNK_GONE: 'other-replica',
  CHUNK_MISSING: 'other-replica',

  CHUNK_SIZE: 'again',
  CHUNK_DIGEST: 'again',
  CHUNK_TAG: 'again',
  FILE_CORRUPT: 'fail',

  CHUNK_BLOCKED: 'fail',
  RELAY_ERROR: 'fail',
  REDIRECT_MISMATCH: 'fail',
  DEADLINE_PASSED: 'fail',
  NOT_APPROVED: 'fail',

  FILE_TOO_LARGE: 'fail',
  SOURCE_MISSING: 'fail',
  SOURCE_CHANGED: 'fail',
  FILE_EXISTS: 'fail',
  DISK_FULL: 'wait-for-disk',
  NO_PERMISSION: 'fail',
  ADDRESS_IN_USE: 'fail',
  ALREADY_RUNNING: 'fail',
  DATABASE_UNUSABLE: 'fail',
  LOCAL_IO: 'fail',

  CANCELLED: 'stop',
};

describe('what follows a failure', () => {
  it.each(FAILURE_CODES)('%s is what the table says', (code) => {
    expect(consequenceOf(new XftpError(code, 'It failed.'))).toBe(TABLE[code]);
  });

  it.each([
    ['SQLITE_FULL', 'DISK_FULL', 'wait-for-database'],
    ['SQLITE_IOERR_SHMSIZE', 'DISK_FULL', 'wait-for-database'],
    ['SQLITE_IOERR_WRITE', 'DATABASE_UNUSABLE', 'wait-for-database'],
    ['SQLITE_READONLY_DIRECTORY', 'DATABASE_UNUSABLE', 'wait-for-database'],
    ['SQLITE_CANTOPEN', 'DATABASE_UNUSABLE', 'wait-for-database'],
    ['SQLITE_CORRUPT_INDEX', 'DATABASE_UNUSABLE', 'fail'],
    ['SQLITE_NOTADB', 'DATABASE_UNUSABLE', 'fail'],
  ])('%s of the database is %s and means %s', (code, expected, consequence) => {
    const failure = databaseFailure(
      Object.assign(new Error('SELECT secret'), { code }),
      '/data/agent.sqlite',
    );
    expect(failure).toMatchObject({
      code: expected,
      message: expect.stringMatching(/^The database \/data\/agent\.sqlite (?!.*secret).*\.$/) as string,
    });
    expect(consequenceOf(failure)).toBe(consequence);
  });

  it('a mistake in a statement stays what it is, and is the end', () => {
    const mistake = Object.assign(new Error('no such column'), { code: 'SQLITE_ERROR' });
    expect(databaseFailure(mistake, '/data/agent.sqlite')).toBe(mistake);
    expect(consequenceOf(mistake)).toBe('fail');
  });

  it('of an error that is none of the project is the end', () => {
    expect(consequenceOf(new TypeError('bug'))).toBe('fail');
    expect(consequenceOf('text')).toBe('fail');
  });
});

describe('a failure as clients see it', () => {
  it('has code, kind, sentence and the words of the relay, and a way out where there is one', () => {
    const error = new XftpError('RELAY_FULL', 'The relay is full.', { wire: 'QUOTA', cause: new Error('x') });
    expect(toFailureInfo(error)).toEqual({
      code: 'RELAY_FULL',
      kind: 'refused',
      temporary: false,
      message: 'The relay is full.',
      hint: expect.stringMatching(/\.$/) as string,
      wire: 'QUOTA',
    });
    expect(toFailureInfo(new XftpError('CONNECTION_LOST', 'It is lost.'))).toEqual({
      code: 'CONNECTION_LOST',
      kind: 'temporary',
      temporary: true,
      message: 'It is lost.',
    });
  });

  it.each(FAILURE_CODES)('%s has at most a hint that is a sentence', (code) => {
    const { hint } = toFailureInfo(new XftpError(code, 'It failed.'));
    if (hint !== undefined) expect(hint).toMatch(/^[A-Z`].*\.$/);
  });
});
