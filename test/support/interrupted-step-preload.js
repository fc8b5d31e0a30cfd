/**
 * Loaded into a program before anything of its own: when it comes to the step of its clean-up that the environment
 * names, it gets SIGINT instead, and the step never ends.
 */
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread, Worker } from 'node:worker_threads';

/** What has the steps as functions. */
const STEPS = { rm: promises, unlink: promises, terminate: Worker.prototype };

if (isMainThread) {
  const step = process.env.XFTP_TEST_INTERRUPTED_STEP;
  STEPS[step][step] = () => {
    process.kill(process.pid, 'SIGINT');
    return new Promise(() => undefined);
  };
  syncBuiltinESMExports();
}
