import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { type TestAgent, testAgent, type TestAgentOptions } from './agent-samples.js';
import { countedRelay, type CountedRelay } from './relay-samples.js';

const KIB = 1024;
/** Two chunks of 1 MiB and two smaller ones. */
const LARGE = 2500 * KIB;

/** An agent whose relay can be made to fail. */
export interface Setting {
  readonly agent: TestAgent;
  readonly relay: CountedRelay;
  readonly proxy: FaultProxy;
  readonly path: string;
  readonly content: Buffer;
}

/** An agent that reaches its relay through a proxy, and a source. */
export async function setting(size = LARGE, options: TestAgentOptions = {}): Promise<Setting> {
  const relay = await countedRelay();
  const proxy = await startFaultProxy(relay.port);
  const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
  const agent = await testAgent({ servers: [address], ...options });
  const path = join(agent.folder, 'source.bin');
  const content = randomBytes(size);
  writeFileSync(path, content);
  return { agent, relay, proxy, path, content };
}
