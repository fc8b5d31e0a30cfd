import { randomBytes } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { newKeys } from '#src/agent/recipient-registration.js';
import { Database } from '#src/agent/database.js';
import { SendStore } from '#src/agent/detail-stores.js';
import type { SendParams } from '#src/agent/model.js';
import { failing } from '../crypto/expected-failure.js';
import { CALLER, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay, type CountedRelay } from './relay-samples.js';

/** Recipients that are many. */
const MANY = 100;

interface Setting {
  readonly agent: TestAgent;
  readonly relay: CountedRelay;
  readonly id: string;
}

/** A completed send. */
async function setting(params: Partial<SendParams> = {}): Promise<Setting> {
  const relay = await countedRelay();
  const agent = await testAgent({ servers: [relay.address] });
  const path = join(agent.folder, 'source.bin');
  writeFileSync(path, randomBytes(1000));
  const { id } = await agent.send({ path, redirect: 'never', ...params }, CALLER);
  await agent.reached(id, 'completed');
  return { agent, relay, id };
}

const snapshotsOf = ({ dataDir }: TestAgent): string[] => readdirSync(join(dataDir, 'snapshots'));

const typesOf = ({ agent, id }: Setting): string[] =>
  agent.listEvents({ transferId: id, limit: 100 }).events.map(({ type }) => type);

describe('recipients that are added while the relay is away', () => {
  it('are refused when the send is removed, whose last event stays the last', async () => {
    const how = await setting();
    const { agent, id } = how;
    agent.setNetwork({ online: false });
    const added = agent.addRecipients(id, 5);
    // In this turn of the event loop it comes as far as the relay.
    await setImmediate();
    agent.remove(id);
    agent.setNetwork({ online: null });
    await expect(added).rejects.toThrow(failing('NOT_FOUND'));
    expect(typesOf(how).at(-1)).toBe('transfer.removed');
    expect(agent.errors).toEqual([]);
  });

  it('are refused when the send is revoked', async () => {
    const how = await setting();
    const { agent, relay, id } = how;
    agent.setNetwork({ online: false });
    const added = agent.addRecipients(id, 5);
    // In this turn of the event loop it comes as far as the relay.
    await setImmediate();
    agent.revoke({ id });
    agent.setNetwork({ online: null });
    await expect(added).rejects.toThrow(failing('ILLEGAL_STATE'));
    expect(typesOf(how)).not.toContain('transfer.recipients');
    await agent.until(() => relay.chunks() === 0);
    expect(agent.errors).toEqual([]);
  });
});

describe('stored descriptions of recipients that are added', () => {
  it.each([
    ['removed', 'NOT_FOUND', 4],
    ['revoked', 'ILLEGAL_STATE', 0],
  ] as const)('are given up when the send is %s', async (what, code, chunks) => {
    const how = await setting({ redirect: 'always', recipients: 3 });
    const { agent, relay, id } = how;
    await agent.until(() => snapshotsOf(agent).length === 0);
    agent.setNetwork({ online: false });
    const added = agent.addRecipients(id, 1);
    await agent.until(() => snapshotsOf(agent).length === 1);
    if (what === 'removed') agent.remove(id);
    else agent.revoke({ id });
    agent.setNetwork({ online: null });
    await expect(added).rejects.toThrow(failing(code));
    await agent.until(() => snapshotsOf(agent).length === 0 && agent.info().relayTasks === 0);
    expect(relay.chunks()).toBe(chunks);
    expect(agent.errors).toEqual([]);
  });
});

describe('a fraction of an hour', () => {
  it('is long enough for stored descriptions of recipients that are added', async () => {
    const { agent, id } = await setting({ redirect: 'always' });
    agent.setSettings({ deadlineHours: 0.333333 });
    expect((await agent.addRecipients(id, 1)).recipients).toHaveLength(2);
  });
});

describe('many recipients', () => {
  it('have so many stored descriptions under way at once, and are described with one look at them', async () => {
    const relay = await countedRelay();
    const agent = await testAgent({ servers: [relay.address] });
    const path = join(agent.folder, 'source.bin');
    writeFileSync(path, randomBytes(1000));
    const { id } = await agent.send({ path, redirect: 'always', recipients: MANY }, CALLER);
    const database = new Database(join(agent.dataDir, 'agent.sqlite'));
    onTestFinished(() => {
      database.close();
    });
    let most = 0;
    await agent.until(() => {
      const row = database.get<{ count: number }>(
        "SELECT COUNT(*) AS count FROM transfers WHERE hidden = 1 AND state IN ('preparing', 'uploading')",
      );
      most = Math.max(most, row?.count ?? 0);
      return agent.get(id).state === 'completed';
    });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    const redirects = vi.spyOn(SendStore.prototype, 'redirects');
    onTestFinished(() => {
      redirects.mockRestore();
    });
    let othersHadTheirTurn = false;
    void setImmediate().then(() => (othersHadTheirTurn = true));
    const { recipients } = await agent.descriptions(id);
    expect(othersHadTheirTurn).toBe(true);
    expect(redirects).toHaveBeenCalledTimes(1);
    expect(recipients.map(({ redirect }) => redirect)).toEqual(Array.from({ length: MANY }, () => true));
    expect(new Set(recipients.map(({ link }) => link)).size).toBe(MANY);
  });

  it('get their keys while others have their turn', async () => {
    const order: string[] = [];
    const made = newKeys(200).then((keys) => {
      order.push('keys');
      return keys;
    });
    await setImmediate();
    order.push('others');
    const keys = await made;
    expect(order).toEqual(['others', 'keys']);
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(200);
  });
});
