import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { startTestAgent, type TestAgent } from '#src/testing/index.js';

import { outcomeOf } from '../support/agent-outcome.js';
import { cleanUp } from '../support/clean-up.js';
import { PACKAGE_FOLDER, startCommand } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { makeFile } from '../support/transfers.js';

/** The samples of a page, with the heading that each is under. */
async function readSamples(file: string): Promise<{ title: string; code: string }[]> {
  const page = await readFile(join(PACKAGE_FOLDER, file), 'utf8');
  const samples: { title: string; code: string }[] = [];
  let heading = '';
  for (const [, title, code] of page.matchAll(/^#+ (.+)$|^```js\n([^]*?)^```$/gm))
    if (title !== undefined) heading = title;
    else samples.push({ title: heading, code: code ?? '' });
  return samples;
}

/** What the samples take for granted: the reader's own program. */
function surroundings(values: Readonly<Record<string, unknown>>): string {
  return `
    import { connectAgent } from 'xftp-agent/sdk';
    const client = await connectAgent();
    const nothing = () => undefined;
    const last = (await client.agent.info()).events.newest;
    Object.assign(globalThis, ${JSON.stringify(values)}, {
      client, connectAgent,
      loadLastSeq: async () => last - 3, saveLastSeq: nothing, lookAtEverything: nothing,
      enough: ({ seq }) => seq === last,
      updateMessage: nothing, showProgress: nothing, showState: nothing, showUser: console.log,
      tryAgainLater: nothing, drawQrCode: console.log, sendMessage: console.log, askUser: async () => true,
    });`;
}

async function sendFrom({ client }: TestAgent, path: string): Promise<{ id: string; link: string }> {
  const { id } = await client.transfers.send({ path });
  await outcomeOf(client, id, 'transfer.completed');
  const { recipients } = await client.transfers.descriptions({ id });
  return { id, link: recipients[0]?.link ?? '' };
}

describe('Code in the documentation', async () => {
  const samples = [...(await readSamples('README.md')), ...(await readSamples('docs/integrating.md'))];
  let agent: TestAgent;
  let sender: TestAgent;

  beforeAll(async () => {
    const end = cleanUp();
    agent = await startTestAgent();
    end.add(agent.stop);
    sender = await startTestAgent();
    end.add(sender.stop);
    return end.run;
  });

  it('has a sample for everything', () => {
    expect(samples.length).toBeGreaterThan(10);
  });

  it.each(samples)('works: $title', async ({ code }) => {
    const project = await temporaryFolder();
    await mkdir(join(project, 'node_modules'));
    await symlink(PACKAGE_FOLDER, join(project, 'node_modules/xftp-agent'));
    const path = await makeFile(project, 100_000, 'photo.jpg');
    const { id } = await sendFrom(agent, path);
    const { link } = await sendFrom(sender, path);
    const { dataDir, endpoint } = agent;
    const values = { path, id, link, dataDir, url: endpoint.url, folder: project, message: { id: 7 } };
    await writeFile(join(project, 'surroundings.mjs'), surroundings(values));
    await writeFile(
      join(project, 'sample.mjs'),
      `import './surroundings.mjs';\n${code}\nawait client.close();\nawait globalThis.client.close();\n`,
    );
    const { exitCode, stdout, stderr } = await startCommand([process.execPath, join(project, 'sample.mjs')], {
      cwd: project,
      env: { XFTP_AGENT_DATA_DIR: dataDir },
    }).ended;
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    // What the page says that the sample prints.
    for (const [, printed = ''] of code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm))
      expect(stdout.split('\n')).toContain(printed);
  });
});
