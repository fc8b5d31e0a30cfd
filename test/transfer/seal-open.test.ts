import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { randomBytes, sha256, sha512 } from '#src/crypto/index.js';
import {
  bytesEqual,
  concatBytes,
  encodeFileHeader,
  encodePlaintextPrefix,
  payloadLength,
  type XftpError,
} from '#src/protocol/index.js';
import { SealStream } from '#src/transfer/seal-stream.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { boxed, openFile, openStreamOf, sealFile } from './stream-samples.js';

const KB = 1024;
const MB = 1024 * KB;
const NAME = 'source.bin';
const [KEY, NONCE] = [randomBytes(32), randomBytes(24)];

async function sourceOf(content: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), NAME);
  writeFileSync(path, content);
  return path;
}

/** Paths of the files that this process has open. */
function openPaths(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // The folder itself was open while it was read.
    }
  });
}

/** Payloads and the sizes of their chunks (protocol reference, section 6.3). */
const TABLE: readonly (readonly [number, string])[] = [
  [65536, '65536'],
  [65537, '65536 65536'],
  [196608, '65536 65536 65536'],
  [196609, '262144'],
  [262144, '262144'],
  [262145, '262144 65536'],
  [500000, '262144 262144'],
  [786432, '262144 262144 262144'],
  [786433, '1048576'],
  [800000, '1048576'],
  [MB, '1048576'],
  [MB + 1, '1048576 262144'],
  [2 * MB + 1, '1048576 1048576 262144'],
  [2 * MB + 768 * KB, '1048576 1048576 262144 262144 262144'],
  [2 * MB + 768 * KB + 1, '1048576 1048576 1048576'],
  [3 * MB, '1048576 1048576 1048576'],
  [3 * MB + 1, '4194304'],
  [4 * MB, '4194304'],
  [4 * MB + 1, '4194304 1048576'],
  [5_000_000, '4194304 1048576'],
  [7 * MB, '4194304 1048576 1048576 1048576'],
  [7 * MB + 1, '4194304 4194304'],
  [9 * MB, '4194304 4194304 1048576'],
  [9 * MB + 256 * KB, '4194304 4194304 1048576 1048576'],
];

describe('a file that is sealed and opened again', () => {
  const material = randomBytes(10 * MB);
  const overhead = payloadLength(encodeFileHeader({ name: NAME }), 0);

  it.each(TABLE)('with a payload around %i bytes is the same', async (payload, sizes) => {
    const folder = await temporaryFolder();
    for (const length of [payload - 1, payload, payload + 1].map((bytes) => bytes - overhead)) {
      const path = join(folder, NAME);
      const content = material.subarray(0, length);
      writeFileSync(path, content);
      const sealed = sealFile({ path, name: NAME });
      if (length + overhead === payload)
        expect(sealed.chunks.map(({ size }) => String(size)).join(' ')).toBe(sizes);
      expect(sealed.digest).toStrictEqual(sha512(concatBytes(...sealed.bodies)));
      expect(sealed.bodies.map(sha256)).toStrictEqual(sealed.chunks.map(({ digest }) => digest));
      const opened = openFile(sealed, sealed.bodies, [...sealed.bodies.keys()].reverse());
      expect([opened.name, bytesEqual(opened.content, content)]).toStrictEqual([NAME, true]);
    }
  });

  it.each([0, 1, 2])('with a content of %i bytes is the same', async (length) => {
    const content = material.subarray(0, length);
    const sealed = sealFile({ path: await sourceOf(content), name: NAME });
    expect(openFile(sealed, sealed.bodies)).toStrictEqual({ name: NAME, content: new Uint8Array(content) });
  });

  it.each(['', 'é'.repeat(127), 'x'.repeat(255)])('has the name %j', async (name) => {
    const sealed = sealFile({ path: await sourceOf(material.subarray(0, 1000)), name });
    expect(openFile(sealed, sealed.bodies).name).toBe(name);
  });

  it('gives other bytes under another key or nonce, and the same under the same', async () => {
    const path = await sourceOf(material.subarray(0, 1000));
    const first = sealFile({ path, name: NAME, key: KEY, nonce: NONCE });
    expect(sealFile({ path, name: NAME, key: KEY, nonce: NONCE })).toStrictEqual(first);
    expect(sealFile({ path, name: NAME, key: KEY }).digest).not.toStrictEqual(first.digest);
    expect(sealFile({ path, name: NAME, nonce: NONCE }).digest).not.toStrictEqual(first.digest);
  });

  it('is read through a symbolic link', async () => {
    const path = await sourceOf(material.subarray(0, 10));
    symlinkSync(path, `${path}.link`);
    const sealed = sealFile({ path: `${path}.link`, name: NAME });
    expect(openFile(sealed, sealed.bodies).content).toHaveLength(10);
  });
});

describe('a source that changes while it is sealed', () => {
  // Four chunks of 64 KiB would be one of 256 KiB: three are the most.
  const content = randomBytes(170 * KB);

  it.each<[string, (path: string) => void]>([
    [
      'shrinks',
      (path) => {
        truncateSync(path, 100 * KB);
      },
    ],
    [
      'shrinks to nothing',
      (path) => {
        truncateSync(path, 0);
      },
    ],
    [
      'grows',
      (path) => {
        appendFileSync(path, 'x');
      },
    ],
    [
      'is written to',
      (path) => {
        writeFileSync(path, randomBytes(content.length));
      },
    ],
    [
      'is touched',
      (path) => {
        utimesSync(path, 1, 1);
      },
    ],
  ])('and %s is SOURCE_CHANGED, whenever it happens', async (_, change) => {
    for (const when of [0, 1, 2]) {
      const path = await sourceOf(content);
      // An old date, so that the coarse clock of the file system does not hide the change.
      utimesSync(path, 1e9, 1e9);
      const seal = (): unknown =>
        sealFile({ path, name: NAME }, (index) => {
          if (index === when) change(path);
        });
      expect(seal).toThrow(failing('SOURCE_CHANGED'));
      expect(openPaths()).not.toContain(path);
    }
  });

  it('and is replaced by another file is sealed as it was', async () => {
    const path = await sourceOf(content);
    writeFileSync(`${path}.new`, 'other');
    const sealed = sealFile({ path, name: NAME }, (index) => {
      if (index === 1) renameSync(`${path}.new`, path);
    });
    expect(bytesEqual(openFile(sealed, sealed.bodies).content, content)).toBe(true);
  });
});

describe('a source that cannot be sealed', () => {
  const request = { name: NAME, key: KEY, nonce: NONCE, maxSize: 1000 };

  function expectRefused(path: string, code: XftpError['code'], more: Partial<typeof request> = {}): void {
    expect(() => new SealStream({ ...request, path, ...more })).toThrow(failing(code));
    expect(openPaths()).not.toContain(path);
  }

  it('is refused: it is missing, or in a folder that is missing or a file', async () => {
    const path = await sourceOf(new Uint8Array(1));
    expectRefused(`${path}.missing`, 'SOURCE_MISSING');
    expectRefused(join(`${path}.missing`, 'file'), 'SOURCE_MISSING');
    expectRefused(join(path, 'file'), 'SOURCE_MISSING');
  });

  it('is refused: it is a folder', async () => {
    expectRefused(await temporaryFolder(), 'INVALID_ARGUMENT');
  });

  it('is refused at once: it is a named pipe, which nobody writes to', async () => {
    const path = join(await temporaryFolder(), 'pipe');
    execFileSync('mkfifo', [path]);
    expectRefused(path, 'INVALID_ARGUMENT');
  });

  it('is refused: it is a device', () => {
    expectRefused('/dev/zero', 'INVALID_ARGUMENT');
  });

  it.skipIf(!existsSync('/proc/version'))('is refused: it has content and tells no size', () => {
    expectRefused('/proc/version', 'INVALID_ARGUMENT');
  });

  it('is refused: it has more bytes than allowed, by one', async () => {
    const path = await sourceOf(new Uint8Array(1001));
    expectRefused(path, 'FILE_TOO_LARGE');
    truncateSync(path, 1000);
    new SealStream({ ...request, path }).close();
  });

  it('is refused: its name has more than 255 bytes', async () => {
    expectRefused(await sourceOf(new Uint8Array(1)), 'INVALID_ARGUMENT', { name: 'é'.repeat(128) });
  });

  it('is refused: key or nonce has a wrong length', async () => {
    const path = await sourceOf(new Uint8Array(1));
    expectRefused(path, 'INVALID_KEY', { key: new Uint8Array(31) });
    expectRefused(path, 'INVALID_KEY', { nonce: new Uint8Array(25) });
  });

  it('has no chunk after its last', async () => {
    const seal = new SealStream({ ...request, path: await sourceOf(new Uint8Array(1)) });
    seal.next(new Uint8Array(64 * KB));
    expect(() => seal.next(new Uint8Array(64 * KB))).toThrow(failing('INVALID_ARGUMENT'));
    seal.close();
  });
});

describe('opening chunks', () => {
  const content = randomBytes(100 * KB);

  async function sealedFile(): Promise<ReturnType<typeof sealFile>> {
    return sealFile({ path: await sourceOf(content), name: NAME });
  }

  it('refuses a box with any flipped bit with CHUNK_TAG, and takes it whole afterwards', async () => {
    const sealed = await sealedFile();
    const stream = openStreamOf(sealed);
    const [body = new Uint8Array()] = sealed.bodies;
    const chunk = boxed(0, body, sealed.chunks[0]!.digest);
    const places = [0, 1, 777, body.length - 1, body.length, chunk.box.length - 1];
    for (const at of places)
      for (const bit of [1, 128]) {
        chunk.box[at] = (chunk.box[at] ?? 0) ^ bit;
        expect(() => {
          stream.accept(chunk);
        }).toThrow(failing('CHUNK_TAG'));
        chunk.box[at] = (chunk.box[at] ?? 0) ^ bit;
      }
    stream.accept(chunk);
    expect(stream.readPrefix().header.name).toBe(NAME);
  });

  it('refuses a box that is shorter or longer, or opened with another key', async () => {
    const sealed = await sealedFile();
    const stream = openStreamOf(sealed);
    const [body = new Uint8Array()] = sealed.bodies;
    const { digest } = sealed.chunks[0]!;
    const chunk = boxed(0, body, digest);
    for (const box of [chunk.box.slice(1), chunk.box.slice(0, -1), chunk.box.slice(0, 10), new Uint8Array()])
      expect(() => {
        stream.accept({ ...chunk, box });
      }).toThrow(failing('CHUNK_TAG'));
    for (const other of [{ boxSecret: randomBytes(32) }, { boxNonce: randomBytes(24) }])
      expect(() => {
        stream.accept({ ...chunk, ...other });
      }).toThrow(failing('CHUNK_TAG'));
    expect(() => {
      stream.accept(boxed(0, body.slice(1), digest));
    }).toThrow(failing('CHUNK_DIGEST'));
  });

  it('says so when something is done before its time', async () => {
    const sealed = await sealedFile();
    const stream = openStreamOf(sealed);
    expect(() => stream.readPrefix()).toThrow(failing('INVALID_ARGUMENT'));
    expect(() => {
      stream.finish();
    }).toThrow(failing('INVALID_ARGUMENT'));
    expect(stream.flush()).toStrictEqual([]);
  });

  it('refuses a header that promises more than there is', async () => {
    // A sender with the right keys who lies in the length field.
    const sealed = await sealedFile();
    for (const lie of [sealed.bodies.length * 64 * KB, 2 ** 40, Number.MAX_SAFE_INTEGER - 100]) {
      const [body = new Uint8Array()] = sealed.bodies;
      const truth = encodePlaintextPrefix({ name: NAME }, content.length);
      const forged = encodePlaintextPrefix({ name: NAME }, lie);
      const changed = body.map((byte, at) => byte ^ (truth[at] ?? 0) ^ (forged[at] ?? 0));
      const stream = openStreamOf(sealed);
      stream.accept(boxed(0, changed, sha256(changed)));
      expect(() => stream.readPrefix()).toThrow(failing('FILE_CORRUPT'));
    }
  });

  it('refuses a description of a file that is too small, and survives one of tiny chunks', () => {
    const facts = { key: KEY, nonce: NONCE, digest: new Uint8Array(64) };
    const tiny = (size: number): { size: number; digest: Uint8Array } => ({
      size,
      digest: sha256(new Uint8Array(size)),
    });
    expect(() => openStreamOf({ ...facts, chunks: [tiny(15)] })).toThrow(failing('INVALID_DESCRIPTION'));
    for (const sizes of [[16], [1, 15], [20, 1, 1], [1100, 8], [64, 8, 8]]) {
      const file = { ...facts, chunks: sizes.map(tiny) };
      const bodies = sizes.map((size) => new Uint8Array(size));
      expect(() => openFile(file, bodies)).toThrow(failing('FILE_CORRUPT'));
    }
  });
});
