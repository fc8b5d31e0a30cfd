import fc from 'fast-check';
import { expect, it } from 'vitest';

import {
  includesVersion,
  intersectVersions,
  negotiateVersion,
  SUPPORTED_VERSIONS,
  type VersionRange,
} from '#src/protocol/version.js';
import { failing } from '../crypto/expected-failure.js';

const range: fc.Arbitrary<VersionRange> = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.nat(6))
  .map(([min, more]) => ({ min, max: min + more }));

it('has the values of section 14.5', () => {
  expect(SUPPORTED_VERSIONS).toStrictEqual({ min: 1, max: 3 });
  expect(intersectVersions({ min: 1, max: 3 }, { min: 2, max: 5 })).toStrictEqual({ min: 2, max: 3 });
  expect(intersectVersions({ min: 1, max: 2 }, { min: 3, max: 5 })).toBeUndefined();
});

it('a version is in the intersection exactly if it is in both ranges', () => {
  fc.assert(
    fc.property(range, range, fc.nat(20), (a, b, version) => {
      const common = intersectVersions(a, b);
      const inCommon = common !== undefined && includesVersion(common, version);
      expect(inCommon).toBe(includesVersion(a, version) && includesVersion(b, version));
      expect(intersectVersions(b, a)).toStrictEqual(common);
    }),
  );
});

it('the highest common version is taken, or RELAY_VERSION says that there is none', () => {
  expect(negotiateVersion(SUPPORTED_VERSIONS, { min: 1, max: 2 })).toBe(2);
  expect(negotiateVersion(SUPPORTED_VERSIONS, { min: 3, max: 99 })).toBe(3);
  for (const theirs of [
    { min: 4, max: 5 },
    { min: 0, max: 0 },
  ])
    expect(() => negotiateVersion(SUPPORTED_VERSIONS, theirs)).toThrow(failing('RELAY_VERSION'));
});
