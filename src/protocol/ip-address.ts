/** The four octets of a dotted IPv4 address, or undefined. Octets are decimal, also with leading zeros. */
export function parseIpv4(text: string): number[] | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return undefined;
  const octets = text.split('.').map(Number);
  return octets.every((octet) => octet <= 255) ? octets : undefined;
}

/**
 * The eight 16-bit groups of an IPv6 address without brackets or zone, or undefined.
 * Its last two groups may be written as a dotted IPv4 address.
 */
export function parseIpv6(text: string): number[] | undefined {
  if (!/^[\da-fA-F:.]{2,45}$/.test(text)) return undefined;
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const before = parseGroups(head, tail === undefined);
  if (before === undefined || tail === undefined) return before?.length === 8 ? before : undefined;
  const after = parseGroups(tail, true);
  if (after === undefined || before.length + after.length > 7) return undefined;
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

/** Groups between single colons; only at the end of an address (`mayBeDotted`) may the last one be IPv4. */
function parseGroups(text: string, mayBeDotted: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const octets = mayBeDotted && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (octets !== undefined) groups.push(...joinOctets(octets));
    else if (/^[\da-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function joinOctets([a = 0, b = 0, c = 0, d = 0]: readonly number[]): [number, number] {
  return [a * 256 + b, c * 256 + d];
}

/**
 * The text of an IPv6 address as the reference emits it: RFC 5952, without brackets;
 * IPv4-mapped (`::ffff:…`) and IPv4-compatible addresses end in dotted form.
 */
export function formatIpv6(groups: readonly number[]): string {
  const dotted = dottedPrefix(groups);
  if (dotted !== undefined) return dotted + groups.slice(6).map(formatOctets).join('.');
  const texts = groups.map((group) => group.toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return texts.join(':');
  return `${texts.slice(0, start).join(':')}::${texts.slice(start + length).join(':')}`;
}

/** What stands before the dotted part of an address that ends in an IPv4 address; undefined for all others. */
function dottedPrefix(groups: readonly number[]): string | undefined {
  if (groups.slice(0, 5).some((group) => group !== 0)) return undefined;
  if (groups[5] === 0xffff) return '::ffff:';
  return groups[5] === 0 && groups[6] !== 0 ? '::' : undefined;
}

function formatOctets(group: number): string {
  return `${String(group >> 8)}.${String(group & 255)}`;
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > longest.length) longest = { start: index - length + 1, length };
  }
  return longest;
}
