import { XftpError } from '../protocol/index.js';

/** What `database import` and `database export` are for with the reference, and why not here (section 11.8). */
export function refuseDatabase(direction: 'import' | 'export'): never {
  throw new XftpError(
    'INVALID_ARGUMENT',
    direction === 'import'
      ? 'This relay has no PostgreSQL store: it keeps its records in memory and in the store log, so there is nothing to import.'
      : 'This relay has no PostgreSQL store, so there is nothing to export: to bring the records of a reference server ' +
          'here, run `database export` with its own program, set store_files to memory in the INI, and start this one.',
  );
}
