import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatBlockingInfo, parseBlockingInfo } from '#src/protocol/blocking-info.js';

describe('blocking info', () => {
  it('is read as it was written', () => {
    const info = fc.record(
      {
        reason: fc.constantFrom('spam' as const, 'content' as const),
        notice: fc.record({ ttl: fc.maxSafeInteger() }, { requiredKeys: [] }),
      },
      { requiredKeys: ['reason'] },
    );
    fc.assert(
      fc.property(info, (sent) => {
        expect(parseBlockingInfo(formatBlockingInfo(sent))).toEqual(sent);
      }),
    );
  });

  it.each([
    ['reason=spam,notice={ "ttl" : 60 , "more": [1] }', { ttl: 60 }],
    ['reason=spam,notice={"ttl":null}', {}],
    ['reason=spam,notice={"other":1}', {}],
  ])('%s has the notice %j', (text, notice) => {
    expect(parseBlockingInfo(text)).toStrictEqual({ reason: 'spam', notice });
  });

  it.each([
    'reason=',
    'reason=Spam',
    'spam',
    ' reason=spam',
    'reason=spam ',
    'reason=spam,notice=',
    'reason=spam,notice={',
    'reason=spam,notice={"ttl":"60"}',
    'reason=spam,notice={"ttl":1e300}',
    'reason=spam,notice={"ttl":60}}',
    'reason=spam;notice={}',
  ])('%j is refused', (text) => {
    expect(() => parseBlockingInfo(text)).toThrow(
      expect.objectContaining({ name: 'XftpError', code: 'INVALID_ENCODING' }),
    );
  });
});
