import { XftpError } from './failure.js';

/** Protocol versions from `min` to `max`, both included. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** Original version; the only one without ALPN, as nothing is negotiated there. */
export const VERSION_INITIAL = 1;
/** From this version on, a blocked chunk is reported as BLOCKED; older peers get AUTH. */
export const VERSION_BLOCKED = 3;

/** What this implementation speaks (protocol reference, section 3.1). Version 2 brought authorization with X25519 keys. */
export const SUPPORTED_VERSIONS: VersionRange = { min: VERSION_INITIAL, max: VERSION_BLOCKED };

/** The versions in both ranges, or undefined if there are none. */
export function intersectVersions(a: VersionRange, b: VersionRange): VersionRange | undefined {
  const common = { min: Math.max(a.min, b.min), max: Math.min(a.max, b.max) };
  return common.min <= common.max ? common : undefined;
}

/** Whether `version` lies in `range`. */
export function includesVersion(range: VersionRange, version: number): boolean {
  return range.min <= version && version <= range.max;
}

/**
 * The highest version that both sides speak.
 *
 * @throws XftpError RELAY_VERSION when there is none.
 */
export function negotiateVersion(ours: VersionRange, theirs: VersionRange): number {
  const common = intersectVersions(ours, theirs);
  if (common === undefined)
    throw new XftpError(
      'RELAY_VERSION',
      `The relay speaks XFTP versions ${String(theirs.min)} to ${String(theirs.max)}, ` +
        `this program ${String(ours.min)} to ${String(ours.max)}: one of them needs an update.`,
    );
  return common.max;
}
