import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** Fails the whole run if the tests leave temporary folders behind. */
export default function setup(): () => void {
  // The test processes inherit it, and name their folders by it.
  const run = String(process.pid);
  process.env.XFTP_TEST_RUN = run;
  return () => {
    const left = readdirSync(tmpdir()).filter((name) => name.startsWith(`xftp-agent-test-${run}-`));
    if (left.length > 0) throw new Error(`The tests left ${left.join(', ')} in ${tmpdir()}.`);
  };
}
