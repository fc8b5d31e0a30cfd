import { describe, expect, it } from 'vitest';

import { handshakeStep } from '#src/relay/handshake-state.js';

const NATIVE = { sniUsed: false, webHello: false, webHandshake: false };
const WEB = { ...NATIVE, sniUsed: true };

/** The table of the protocol reference, section 3.5. */
describe('a request is taken for what the state machine says', () => {
  it.each([
    ['initial', NATIVE, 'hello'],
    ['initial', { ...NATIVE, webHello: true }, 'hello'],
    ['initial', WEB, 'refused'],
    ['initial', { ...WEB, webHandshake: true }, 'refused'],
    ['initial', { ...WEB, webHello: true }, 'hello'],
    ['sent', NATIVE, 'handshake'],
    ['sent', { ...NATIVE, webHello: true }, 'handshake'],
    ['sent', WEB, 'handshake'],
    ['sent', { ...WEB, webHello: true }, 'hello'],
    ['accepted', NATIVE, 'command'],
    ['accepted', { ...NATIVE, webHello: true, webHandshake: true }, 'command'],
    ['accepted', { ...WEB, webHandshake: true }, 'handshake'],
    ['accepted', { ...WEB, webHello: true, webHandshake: true }, 'hello'],
  ] as const)('%s, %o: %s', (stage, request, step) => {
    expect(handshakeStep(stage, request)).toBe(step);
  });
});
