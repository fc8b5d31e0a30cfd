import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { XftpError } from '../protocol/index.js';
import type { Database } from './database.js';

/** The numbered SQL files of the package; the folder is as far from here as from the bundled programs. */
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));
const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/;

/**
 * Brings a database up to date: each migration that it has not seen in one transaction of its own.
 *
 * @returns the version that the database has now
 * @throws XftpError DATABASE_UNUSABLE when it was made by a newer version
 */
export function migrate(database: Database): number {
  const files = migrationFiles();
  const newest = files.length;
  const current = versionOf(database);
  if (current > newest)
    throw new XftpError(
      'DATABASE_UNUSABLE',
      `The database was made by a newer xftp-agent (its version is ${String(current)}, this program knows ` +
        `${String(newest)}): update xftp-agent, or use another data folder.`,
    );
  for (const [index, file] of files.entries()) {
    const version = index + 1;
    if (version <= current) continue;
    database.transaction(() => {
      database.execute(readFileSync(FOLDER + file, 'utf8'));
      database.execute(`PRAGMA user_version = ${String(version)}`);
    });
  }
  return newest;
}

/** In order; their numbers are 1, 2, 3 without gaps. */
function migrationFiles(): string[] {
  const files = readdirSync(FOLDER)
    .filter((name) => FILE_NAME.test(name))
    .sort();
  for (const [index, name] of files.entries())
    if (Number(name.slice(0, 4)) !== index + 1)
      throw new XftpError(
        'DATABASE_UNUSABLE',
        `The migration ${name} is out of order: the package is damaged.`,
      );
  return files;
}

function versionOf(database: Database): number {
  return database.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0;
}
