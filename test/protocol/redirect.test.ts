import { describe, expect, it } from 'vitest';
import { parseDescription } from '#src/protocol/description-yaml.js';
import { checkRedirect } from '#src/protocol/redirect.js';
import { minimal } from './description-samples.js';

const inner = parseDescription(minimal);
const { size, digest } = inner;
const outer = { ...inner, redirect: { size, digest } };

describe('a redirect', () => {
  it('may be followed to the description that it promises', () => {
    expect(() => {
      checkRedirect(outer, inner);
    }).not.toThrow();
  });

  it.each([
    ['another size', { ...outer, redirect: { size: size + 1, digest } }, inner, 'size'],
    ['another digest', { ...outer, redirect: { size, digest: new Uint8Array(64) } }, inner, 'digest'],
    ['a shorter digest', { ...outer, redirect: { size, digest: digest.subarray(1) } }, inner, 'digest'],
    ['a sender description', outer, { ...inner, party: 'sender' as const }, 'sender'],
    ['another redirect', outer, { ...inner, redirect: outer.redirect }, 'another redirect'],
  ])('is not followed to %s', (_, from, to, word) => {
    expect(() => {
      checkRedirect(from, to);
    }).toThrow(
      expect.objectContaining({ code: 'REDIRECT_MISMATCH', message: expect.stringContaining(word) }),
    );
  });

  it('is one only if its description says so', () => {
    expect(() => {
      checkRedirect(inner, inner);
    }).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
