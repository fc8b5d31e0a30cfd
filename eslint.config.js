import js from '@eslint/js';
import importX from 'eslint-plugin-import-x';
import jsdoc from 'eslint-plugin-jsdoc';
import { globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** The folders of the house, each with those it may import from. */
const MAY_IMPORT = {
  system: [],
  protocol: [],
  crypto: ['protocol'],
  transport: ['system', 'protocol', 'crypto'],
  client: ['protocol', 'crypto', 'transport'],
  transfer: ['system', 'protocol', 'crypto', 'transport', 'client'],
  agent: ['system', 'protocol', 'crypto', 'transport', 'client', 'transfer'],
  rpc: ['system', 'protocol', 'crypto', 'agent'],
  sdk: ['system', 'protocol', 'rpc'],
  relay: ['system', 'protocol', 'crypto'],
  testing: ['protocol', 'crypto', 'agent', 'rpc', 'sdk', 'relay'],
  cli: [
    'system',
    'protocol',
    'crypto',
    'transport',
    'client',
    'transfer',
    'agent',
    'rpc',
    'sdk',
    'relay',
    'testing',
  ],
};
const FOLDERS = Object.keys(MAY_IMPORT);

/** A folder may not import from the folders that its row leaves out. */
const folderOrder = FOLDERS.map((folder) => ({
  target: `./src/${folder}`,
  from: FOLDERS.filter((other) => other !== folder && !MAY_IMPORT[folder].includes(other)).map(
    (other) => `./src/${other}`,
  ),
  message: `src/${folder} imports only from: ${MAY_IMPORT[folder].join(', ') || 'nothing'}.`,
})).filter(({ from }) => from.length > 0);

/** Other folders are imported through their face. */
const facesOnly = FOLDERS.map((folder) => ({
  target: FOLDERS.filter((other) => other !== folder).map((other) => `./src/${other}`),
  from: `./src/${folder}`,
  except: ['./index.ts'],
  message: `Import src/${folder}/index.js, the face of the folder.`,
}));

export default tseslint.config(
  globalIgnores(['dist', 'test/vectors']),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './test/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      eqeqeq: 'error',
      'no-console': 'error',
      'max-lines': ['error', { max: 400 }],
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { 'import-x': importX, jsdoc },
    settings: {
      'import-x/resolver': { typescript: { project: './tsconfig.json' } },
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
    rules: {
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': [
        'error',
        { basePath: import.meta.dirname, zones: [...folderOrder, ...facesOnly] },
      ],
      'jsdoc/require-jsdoc': [
        'error',
        {
          publicOnly: true,
          require: { ClassDeclaration: true, FunctionDeclaration: true },
          contexts: ['TSInterfaceDeclaration'],
        },
      ],
      'jsdoc/no-types': 'error',
    },
  },
  {
    files: ['src/protocol/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^node:', message: 'src/protocol runs in browsers too.' }] },
      ],
      'no-restricted-globals': [
        'error',
        'Buffer',
        'process',
        'setImmediate',
        'global',
        '__dirname',
        'require',
      ],
    },
  },
  {
    files: ['src/*/index.ts'],
    rules: {
      'max-lines': ['error', { max: 40 }],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'Program > :not(ExportNamedDeclaration[source], ExportAllDeclaration)',
          message: 'The face of a folder defines nothing.',
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Assertions on parsed data read better without a guard for each step.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.cjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        process: 'readonly',
        URL: 'readonly',
        console: 'readonly',
        performance: 'readonly',
        Buffer: 'readonly',
      },
    },
    rules: { 'no-console': 'off' },
  },
);
