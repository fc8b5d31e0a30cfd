import { relative, sep } from 'node:path';

import { BaseSequencer } from 'vitest/node';

/**
 * Files that take longest, the longest first: one that begins last would run alone in the end. What earlier runs have
 * measured is not there on a machine that runs the tests for the first time.
 */
const LONGEST = [
  'test/endurance/killed-agent.test.ts',
  'test/endurance/connections.test.ts',
  'test/endurance/end-to-end.test.ts',
  // A process that files share ends before one that needs its own: these stand together.
  'test/transfer/retry.test.ts',
  'test/cli/xftp.test.ts',
  'test/relay/server-start.test.ts',
  'test/cli/agent-commands.test.ts',
  'test/faults/lying-relay.test.ts',
  'test/faults/agent-relays.test.ts',
  'test/protocol/description-hostile.test.ts',
  'test/cli/xftp-interruption.test.ts',
  'test/agent/agent-steering.test.ts',
  'test/faults/agent-network.test.ts',
  'test/relay/server-program.test.ts',
  'test/cli/agent-administration.test.ts',
  'test/examples/integrating.test.ts',
  'test/faults/relay-answers.test.ts',
  'test/agent/agent-delivery.test.ts',
  'test/transfer/failed-send.test.ts',
  'test/transfer/cipher-pool.test.ts',
  'test/cli/xftp-output.test.ts',
  'test/relay/shutdown.test.ts',
  'test/examples/examples.test.ts',
  'test/faults/local-disk.test.ts',
  'test/agent/agent-receives.test.ts',
  'test/agent/agent-sends.test.ts',
  'test/cli/xftp-usage.test.ts',
  'test/cli/xftp-pipes.test.ts',
  'test/faults/damaged-chunks.test.ts',
  'test/cli/demo.test.ts',
  'test/cli/package.test.ts',
  'test/transport/channel-uplink.test.ts',
];

/** Starts the longest files first, and the others as they come. */
export default class LongestFirst extends BaseSequencer {
  /** @param {import('vitest/node').TestSpecification[]} files */
  sort(files) {
    const { root } = this.ctx.config;
    const ranks = new Map(LONGEST.map((path, rank) => [path, rank]));
    const rankOf = ({ moduleId }) =>
      ranks.get(relative(root, moduleId).split(sep).join('/')) ?? LONGEST.length;
    return Promise.resolve([...files].sort((a, b) => rankOf(a) - rankOf(b)));
  }
}
