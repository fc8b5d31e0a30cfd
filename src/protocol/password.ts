/**
 * Whether bytes may be a relay's password for new chunks: printable Latin-1 without space, `@`, `:` and `/`
 * (protocol reference, section 5.2).
 */
export function isPasswordText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => isPrintable(byte) && !RESERVED.includes(byte));
}

/** `@`, `:` and `/`, which have a meaning in server addresses. */
const RESERVED = [0x40, 0x3a, 0x2f];

function isPrintable(byte: number): boolean {
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
}
