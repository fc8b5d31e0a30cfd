import { encodeBase64Url, type Response } from '../protocol/index.js';
import { randomBytes } from '../crypto/index.js';
import { INCOMING_NAME_LENGTH } from './body-storage.js';
import { errorResponse, OK } from './commands/reply.js';
import { isDiskFull } from './file-errors.js';
import type { Reservation } from './quota.js';
import type { UploadStart } from './record-owner.js';
import type { OwnerServices } from './services.js';

/** An upload under way. */
interface Upload {
  readonly ticket: string;
  readonly senderId: Uint8Array;
  readonly client: string | undefined;
  readonly reservation: Reservation;
}

/**
 * The uploads under way, as the owner of the records sees them. Two of one chunk do not meet: each has a name of its own,
 * and the first that is complete becomes the chunk's body.
 */
export class Uploads {
  readonly #services: OwnerServices;
  readonly #open = new Map<string, Upload>();

  constructor(services: OwnerServices) {
    this.#services = services;
  }

  /** Holds the room for the body of a chunk. */
  async begin(senderId: Uint8Array, client: string | undefined): Promise<UploadStart> {
    const { store, quota } = this.#services;
    const record = await store.bySender(senderId);
    if (record === undefined) return { refusal: errorResponse('AUTH') };
    const reservation = quota.reserve(record.size);
    if (reservation === undefined) return { refusal: errorResponse('QUOTA') };
    const ticket = encodeBase64Url(randomBytes(INCOMING_NAME_LENGTH));
    this.#open.set(ticket, { ticket, senderId: record.senderId, client, reservation });
    return { ticket };
  }

  /** Gives a complete body to its chunk, if that still needs one. */
  async commit(ticket: string): Promise<Response> {
    const upload = this.#open.get(ticket);
    if (upload === undefined) return errorResponse('INTERNAL');
    try {
      return await this.#services.exclusive.run(encodeBase64Url(upload.senderId), () => this.#store(upload));
    } catch (error) {
      this.#services.failed(error);
      // No room is no room, whether by the quota or by the disk: clients go to another relay.
      return errorResponse(isDiskFull(error) ? 'QUOTA' : 'FILE_IO');
    } finally {
      this.#end(upload);
    }
  }

  /** Gives the room back, and removes what there is of the body. */
  async abandon(ticket: string): Promise<void> {
    const upload = this.#open.get(ticket);
    if (upload === undefined) return;
    await this.#removeBody(ticket);
    this.#end(upload);
  }

  /** Nobody else touches the chunk meanwhile. */
  async #store(upload: Upload): Promise<Response> {
    const { store } = this.#services;
    const current = await store.bySender(upload.senderId);
    if (current?.status.type === 'active' && current.place === undefined) return await this.#commit(upload);
    await this.#removeBody(upload.ticket);
    if (current?.status.type !== 'active') return errorResponse('AUTH');
    // Another upload was first. The content is the same, only this copy is not needed.
    await store.settled();
    return OK;
  }

  /** The body is in its place before the record says so. */
  async #commit({ ticket, senderId, client, reservation }: Upload): Promise<Response> {
    const { store, storage, statistics, registrations, failed } = this.#services;
    let place: string;
    try {
      place = await storage.commit(ticket, senderId);
    } catch (error) {
      await this.#removeBody(ticket);
      throw error;
    }
    try {
      if ((await store.change({ type: 'FPUT', senderId, place })) !== 'done') return errorResponse('AUTH');
      statistics.count('filesUploaded');
      return OK;
    } catch (error) {
      failed(error);
      return errorResponse('INTERNAL');
    } finally {
      // The change may have been made although the disk did not take its line: then the body is the chunk's.
      const stored = await store.bySender(senderId);
      if (stored?.place === place) {
        reservation.keep();
        registrations.giveBack(client);
      } else await storage.remove(place);
    }
  }

  async #removeBody(ticket: string): Promise<void> {
    try {
      await this.#services.storage.abandon(ticket);
    } catch {
      // Whatever is left is removed at the next start.
    }
  }

  #end({ ticket, reservation }: Upload): void {
    this.#open.delete(ticket);
    reservation.release();
  }
}
