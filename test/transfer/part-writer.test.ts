import { existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { randomBytes } from '#src/crypto/index.js';
import { bytesEqual } from '#src/protocol/index.js';
import { PartWriter } from '#src/transfer/part-writer.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const MIB = 1024 * 1024;
/** Disk, and a memory file system, which takes no direct writes on older systems. */
const PLACES = [tmpdir(), '/dev/shm'].filter((place) => existsSync(place));

/** Writes the content in pieces of the given length. */
function write(writer: PartWriter, content: Uint8Array, pieceLength: number): void {
  for (let done = 0; done < content.length; done += pieceLength) {
    const piece = content.subarray(done, done + pieceLength);
    writer.write(piece.length, (target, offset) => {
      target.set(piece.subarray(offset, offset + target.length));
    });
  }
}

describe.each(PLACES)('a part file in %s', (place) => {
  it.each([0, 1, 4095, 4096, 4097, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB + 12_345])(
    'of %i bytes has exactly these bytes and no padding',
    async (size) => {
      const content = randomBytes(size);
      for (const pieceLength of [size + 1, 777_777]) {
        const path = join(await temporaryFolder(place), 'file.part');
        const writer = new PartWriter(path);
        write(writer, content, pieceLength);
        expect(statSync(path).mode & 0o777).toBe(0o600);
        writer.finish(0o640);
        writer.close();
        expect(statSync(path).size).toBe(size);
        expect(statSync(path).mode & 0o777).toBe(0o640);
        expect(bytesEqual(readFileSync(path), content)).toBe(true);
      }
    },
  );

  it('is not written over one that is there', async () => {
    const path = join(await temporaryFolder(place), 'file.part');
    const writer = new PartWriter(path);
    expect(() => new PartWriter(path)).toThrow('EEXIST');
    writer.close();
  });
});
