import fc from 'fast-check';

/** Bytes from `first` to `last`, both included. */
export function range(first: number, last: number): Uint8Array {
  return Uint8Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Lower-case hexadecimal, for comparisons that print well. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The bytes of a hexadecimal text. */
export function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Any bytes of exactly this length. */
export function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** The given bytes with one to four of them changed, or cut, or with more behind them. */
export function damaged(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  const flips = fc
    .array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    })
    .map((changes) => {
      const copy = new Uint8Array(original);
      for (const [at, change] of changes) copy[at] = (original[at] ?? 0) ^ change;
      return copy;
    });
  const cut = fc.nat(original.length - 1).map((length) => original.slice(0, length));
  const longer = fc
    .uint8Array({ minLength: 1, maxLength: 8 })
    .map((more) => new Uint8Array(Buffer.concat([original, more])));
  return fc.oneof({ weight: 8, arbitrary: flips }, cut, longer);
}
