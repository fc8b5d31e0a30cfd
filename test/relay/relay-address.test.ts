import { describe, expect, it } from 'vitest';

import { parseServerAddress } from '#src/protocol/index.js';
import { formatRelayAddress } from '#src/relay/index.js';

const FINGERPRINT = `${'A'.repeat(43)}=`;

describe('The address that a relay prints', () => {
  it.each([
    ['relay.example', 5443, 'relay.example:5443'],
    ['relay.example', 443, 'relay.example'],
    ['::1', 5443, '[::1]:5443'],
    ['[::1]', 5443, '[::1]:5443'],
    ['::1', 443, '::1'],
    ['fe80::1,relay.example', 5443, 'fe80::1,relay.example:5443'],
    ['relay.example,fe80::1', 5443, 'relay.example,[fe80::1]:5443'],
  ])('of %s with port %i is read as these hosts and this port', (host, port, expected) => {
    const text = formatRelayAddress(FINGERPRINT, host, port);
    expect(text).toBe(`xftp://${FINGERPRINT}@${expected}`);
    const { hosts, port: parsed = 443 } = parseServerAddress(text);
    expect(hosts.map((each) => each.text)).toEqual(host.split(',').map((each) => each.replace(/[[\]]/g, '')));
    expect(parsed).toBe(port);
  });
});
