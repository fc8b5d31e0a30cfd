// Writes migrations/schema.sql: what an empty database looks like after all migrations. `--print` prints it instead.
//
// So a change of the schema is seen as a whole in review, not only as the statements that lead to it.
import { writeFileSync } from 'node:fs';

import { Database } from '../dist/agent/database.js';
import { migrate } from '../dist/agent/migrations.js';

const database = new Database(':memory:');
const version = migrate(database);
const statements = database
  .all(
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name",
  )
  .map(({ sql }) => `${sql};\n`);
database.close();

const dump = [
  `-- The schema after migration ${version}. Made by \`npm run schema:dump\`; change it with a new migration.\n`,
  ...statements,
].join('\n');
if (process.argv.includes('--print')) process.stdout.write(dump);
else writeFileSync(new URL('../migrations/schema.sql', import.meta.url), dump);
