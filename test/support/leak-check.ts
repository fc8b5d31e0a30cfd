import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';

import { TEMPORARY_PREFIX } from './temporary-folder.js';

/** Fails the whole run if the tests leave temporary folders behind. */
export default function setup(): () => void {
  const before = new Set(ours());
  return () => {
    const left = ours().filter((name) => !before.has(name));
    if (left.length > 0) throw new Error(`The tests left ${left.join(', ')} in ${tmpdir()}.`);
  };
}

function ours(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith(TEMPORARY_PREFIX));
}
