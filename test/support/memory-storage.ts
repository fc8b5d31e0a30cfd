import type { BodyStorage } from '#src/relay/index.js';
import { encodeBase64Url } from '#src/protocol/index.js';

/** Bodies in memory, in which nothing is like a file: it shows what a relay asks of a storage. */
export class MemoryStorage implements BodyStorage {
  readonly incoming = new Map<string, Buffer[]>();
  readonly stored = new Map<
    string,
    { readonly senderId: Uint8Array; readonly bytes: Buffer; readonly at: number }
  >();

  receive(name: string): ReturnType<BodyStorage['receive']> {
    const pieces: Buffer[] = [];
    return {
      write: (added) => {
        this.incoming.set(name, pieces);
        // Copies: the pieces are the caller's again when this has resolved.
        pieces.push(...added.map((piece) => Buffer.from(piece)));
        return Promise.resolve();
      },
      finish: () => {
        this.incoming.set(name, pieces);
        return Promise.resolve();
      },
      abandon: () => this.abandon(name),
    };
  }

  abandon(name: string): Promise<void> {
    this.incoming.delete(name);
    return Promise.resolve();
  }

  commit(name: string, senderId: Uint8Array): Promise<string> {
    const pieces = this.incoming.get(name);
    if (pieces === undefined) return Promise.reject(new Error('There is no such body.'));
    this.incoming.delete(name);
    const place = this.placeOf(senderId);
    this.stored.set(place, {
      senderId: Uint8Array.from(senderId),
      bytes: Buffer.concat(pieces),
      at: Date.now() / 1000,
    });
    return Promise.resolve(place);
  }

  placeOf(senderId: Uint8Array): string {
    return `memory:${encodeBase64Url(senderId)}`;
  }

  open(place: string, size: number): ReturnType<BodyStorage['open']> {
    const bytes = this.stored.get(place)?.bytes;
    if (bytes?.length !== size) return Promise.resolve(undefined);
    return Promise.resolve({
      read: (into, position) =>
        Promise.resolve(bytes.copy(into, 0, position, position + into.length) === into.length),
      close: () => Promise.resolve(),
    });
  }

  remove(place: string): Promise<void> {
    this.stored.delete(place);
    return Promise.resolve();
  }

  storedAt(place: string): Promise<number | undefined> {
    return Promise.resolve(this.stored.get(place)?.at);
  }

  list(): ReturnType<BodyStorage['list']> {
    return Promise.resolve([...this.stored].map(([place, { senderId }]) => ({ place, senderId })));
  }

  async *present<T extends { readonly place: string }>(bodies: Iterable<T>): AsyncGenerator<T> {
    await Promise.resolve();
    for (const body of bodies) if (this.stored.has(body.place)) yield body;
  }

  placeHere(place: string): string {
    return place;
  }

  removeUnfinished(): Promise<number> {
    const { size } = this.incoming;
    this.incoming.clear();
    return Promise.resolve(size);
  }
}
