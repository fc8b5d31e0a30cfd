// Checks the types of the tests, the rules of the linter and the format, all at once, and fails if one of them does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const CHECKS = [
  ['tsc', '--project', 'test/tsconfig.json'],
  ['eslint', '.'],
  ['prettier', '--check', '.'],
];

const codes = await Promise.all(
  CHECKS.map(async ([program, ...args]) => {
    // npm puts the programs of packages on the path.
    const [code] = await once(spawn(program, args, { stdio: 'inherit' }), 'close');
    return code;
  }),
);
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
