import { describe, expect, it } from 'vitest';

import { parseServerAddress, XftpError } from '#src/protocol/index.js';
import { UploadWidth } from '#src/transfer/upload-width.js';

import { type Deferred, deferred } from '../transport/channel-samples.js';

const [server, other] = ['one', 'two'].map((host) =>
  parseServerAddress(`xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@${host}.example`),
) as [ReturnType<typeof parseServerAddress>, ReturnType<typeof parseServerAddress>]; // one for each host

/** Uploads that the test ends, in the order in which they have begun. */
class Uploads {
  readonly width = new UploadWidth();
  readonly running: Deferred<void>[] = [];
  readonly #ends: Promise<unknown>[] = [];

  add(count: number, to = server): void {
    for (let index = 0; index < count; index += 1)
      this.#ends.push(
        this.width
          .run(to, () => {
            const upload = deferred();
            this.running.push(upload);
            return upload.promise;
          })
          .catch((error: unknown) => error),
      );
  }

  /** Ends all that are running, and waits until what comes next has begun. */
  async end(outcome: (upload: Deferred<void>) => void): Promise<void> {
    for (const upload of this.running.splice(0)) outcome(upload);
    await new Promise(setImmediate);
  }
}

const failing =
  (error: XftpError) =>
  ({ reject }: Deferred<void>): void => {
    reject(error);
  };
const arrived = ({ resolve }: Deferred<void>): void => {
  resolve();
};

describe('uploads of a file', () => {
  it.each([
    new XftpError('CONNECTION_LOST', 'The connection is lost.'),
    new XftpError('STALLED', 'Nothing moves.'),
    new XftpError('RELAY_TEMPORARY', 'The relay has waited too long.', { wire: 'TIMEOUT' }),
  ])('are halved once by a break, and once more by the next one ($code)', async (error) => {
    const uploads = new Uploads();
    uploads.add(5);
    await uploads.end(failing(error));
    uploads.add(10);
    expect(uploads.running).toHaveLength(2);
    await uploads.end(failing(error));
    expect(uploads.running).toHaveLength(1);
    await uploads.end(failing(error));
    expect(uploads.running).toHaveLength(1);
  });

  it('stay as many after another failure, and on the ways to other relays', async () => {
    const uploads = new Uploads();
    uploads.add(4);
    await uploads.end(failing(new XftpError('RELAY_FULL', 'The relay is full.')));
    uploads.add(4);
    expect(uploads.running).toHaveLength(4);
    await uploads.end(failing(new XftpError('STALLED', 'Nothing moves.')));
    uploads.add(4, other);
    expect(uploads.running).toHaveLength(4);
  });

  it('become one more at once after eight that got through', async () => {
    const uploads = new Uploads();
    uploads.add(2);
    await uploads.end(failing(new XftpError('STALLED', 'Nothing moves.')));
    uploads.add(20);
    for (let done = 0; done < 8; done += 1) {
      expect(uploads.running).toHaveLength(1);
      await uploads.end(arrived);
    }
    expect(uploads.running).toHaveLength(2);
  });
});
