import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { Stops } from '#src/relay/stops.js';

import { MemoryStorage } from '../support/memory-storage.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay } from '../support/test-relay.js';

it('what was begun ends once and in reverse order, also when ends fail, and the last failure is told', async () => {
  const ended: string[] = [];
  const stops = new Stops();
  stops.add(() => void ended.push('lock'));
  stops.add(() => {
    ended.push('records');
    throw new Error('The records are lost.');
  });
  stops.add(() => {
    ended.push('ports');
    return Promise.reject(new Error('The ports stay open.'));
  });
  await expect(stops.run()).rejects.toThrow('The records are lost.');
  expect(ended).toEqual(['ports', 'records', 'lock']);
  await stops.run();
  expect(ended).toHaveLength(3);
});

it.runIf(process.platform === 'linux')(
  'a start that fails after the log was opened leaves it closed, and the files to the next start',
  async () => {
    const folder = await temporaryFolder();
    const bodies = new MemoryStorage();
    bodies.present = () => {
      throw new Error('The bodies cannot be seen.');
    };
    await expect(testRelay({ bodies }, folder)).rejects.toThrow('The bodies cannot be seen.');
    const links = (await readdir('/proc/self/fd')).map((number) =>
      readlink(join('/proc/self/fd', number)).catch(() => ''),
    );
    expect((await Promise.all(links)).filter((path) => path.startsWith(folder))).toEqual([]);
    await testRelay({ bodies: new MemoryStorage() }, folder);
  },
);
