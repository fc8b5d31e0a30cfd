import { parseDescription } from '#src/protocol/index.js';

import { makeFile } from '../support/transfers.js';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { type TestAgent } from './agent-samples.js';
import { type CountedRelay, countedRelay } from './relay-samples.js';

/** Five chunks. */
export const FIVE_CHUNKS = 700_000;

/** A relay that can be taken away and given back. */
export interface MortalRelay extends CountedRelay {
  /** The address through the proxy. */
  readonly address: string;
  readonly proxy: FaultProxy;
  /** From now on every connection breaks. */
  readonly die: () => void;
  readonly revive: () => void;
}

/** Starts relays that end with the running test. */
export function mortalRelays(count: number): Promise<MortalRelay[]> {
  return Promise.all(Array.from({ length: count }, mortalRelay));
}

async function mortalRelay(): Promise<MortalRelay> {
  const relay = await countedRelay();
  const proxy = await startFaultProxy(relay.port);
  return {
    ...relay,
    address: relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`),
    proxy,
    die: () => {
      proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
      proxy.cutAll();
    },
    revive: () => {
      proxy.setFault();
    },
  };
}

/** Addresses of relays. */
export function addressesOf(relays: readonly { readonly address: string }[]): string[] {
  return relays.map(({ address }) => address);
}

/** A new file of so many random bytes in the agent's folder. */
export function sourceOf(agent: TestAgent, size = FIVE_CHUNKS): Promise<string> {
  return makeFile(agent.folder, size, `source-${String(Math.random()).slice(2)}.bin`);
}

/** Ports of the relays of each chunk, in the order of its replicas. */
export function portsOf(description: string): number[][] {
  return parseDescription(description).chunks.map(({ replicas }) =>
    replicas.map(({ server }) => server.port ?? 0),
  );
}

/** How many chunks the relays hold together. */
export function held(relays: readonly CountedRelay[]): number {
  return relays.reduce((sum, relay) => sum + relay.chunks(), 0);
}
