import { setImmediate } from 'node:timers/promises';

import type { RelayClient } from '../client/index.js';
import { generateKeyPair, publicKeyOf } from '../crypto/index.js';
import { isXftpError, parseServerAddress, type ServerAddress, XftpError } from '../protocol/index.js';
import { throwIfAborted } from '../transport/index.js';
import { maySplit, splitChunk } from './chunk-split.js';
import type { ChunkRow, RecipientRow, ReplicaRow } from './chunk-store.js';
import type { SendRow } from './detail-stores.js';
import { consequenceOf, toFailureInfo } from './failure-policy.js';
import type { Ask, Request } from './relay-access.js';
import type { Run } from './run.js';
import { serverKey } from './server-store.js';
import type { ServerPick } from './server-pick.js';

/** Recipients per request, as official clients send them. */
export const RECIPIENTS_PER_REQUEST = 200;
/** How often a relay may answer that it got other bytes than were sent before the chunk goes elsewhere. */
const MAX_CORRUPT = 3;
/** A registered chunk moves to another server when its own has failed so often; one that is not, at the first failure. */
export const PATIENCE = 3;
/** How often relays may forget the chunk between its registration and its upload before it goes elsewhere. */
const MAX_LOST = 3;
/** How often the way may break during the upload of a chunk before the chunk is split. */
const MAX_CUTS = 2;
/** Keys that are made before others have their turn: some ms of work. */
const KEYS_PER_TURN = 64;
/** How long chunks stay on relays, in ms, as far as a client can know. */
export const CHUNK_LIFE_MS = 48 * 3600_000;

/** Makes the chunk's bytes in the memory given. */
export type MakeChunk = (buffer: Uint8Array) => Promise<Uint8Array>;

/** Brings one chunk of a send onto one relay, whatever it takes. */
export class ChunkUpload {
  readonly #run: Run;
  readonly #send: SendRow;
  readonly #chunk: ChunkRow;
  readonly #pick: ServerPick;
  readonly #signal: AbortSignal;
  #corrupt = 0;
  #lost = 0;
  #cuts = 0;
  /** Most bytes of it that were under way when the way broke. */
  #farthest = 0;

  constructor(run: Run, send: SendRow, chunk: ChunkRow, pick: ServerPick, signal: AbortSignal) {
    this.#run = run;
    this.#send = send;
    this.#chunk = chunk;
    this.#pick = pick;
    this.#signal = signal;
  }

  /**
   * Returns when the chunk is on a relay and that is recorded.
   *
   * @returns the pieces that took the place of a chunk that was too large for its way, to be uploaded instead; mostly none
   * @throws XftpError that ends the transfer, or CANCELLED
   */
  async run(make: MakeChunk): Promise<readonly ChunkRow[]> {
    for (;;) {
      const replica = this.#registered();
      const server = replica === undefined ? this.#pick.next() : this.#serverOf(replica);
      if (this.#isTooLarge(server)) return await this.#split(server, make);
      try {
        await this.#upload(server, await this.#register(server, replica), make);
        return [];
      } catch (error) {
        this.#follow(server, error);
      }
    }
  }

  /** What an earlier try has got as far as a relay. */
  #registered(): ReplicaRow | undefined {
    const replica = this.#replica;
    if (replica === undefined || !this.#givesUp(this.#serverOf(replica))) return replica;
    this.#giveUp(replica);
    return undefined;
  }

  get #replica(): ReplicaRow | undefined {
    return this.#run.services.chunks.replicasOf(this.#chunk.transfer_id, this.#chunk.number)[0];
  }

  /** Whether the server has failed too often, while another one could be asked. */
  #givesUp(server: ServerAddress): boolean {
    const { failures } = this.#run.services.gates.status(serverKey(server));
    if (failures === 0 || !this.#pick.hasOpenOther(server)) return false;
    return failures >= PATIENCE || this.#replica?.state === 'registering';
  }

  #serverOf({ server }: ReplicaRow): ServerAddress {
    return this.#pick.find(server) ?? parseServerAddress(server);
  }

  /** Registers the chunk and all its recipients. The keys are on disk before the relay is asked. */
  async #register(server: ServerAddress, existing: ReplicaRow | undefined): Promise<ReplicaRow> {
    const { chunks } = this.#run.services;
    const replica = existing ?? (await this.#intend(server));
    if (replica.state === 'registering') {
      const first = chunks.recipients(replica.id).slice(0, RECIPIENTS_PER_REQUEST);
      await this.#ask(server, 'create', (client) => this.#create(client, server, replica, first));
    }
    await registerRecipients(this.#run, replica, server, {
      signal: this.#signal,
      givesUp: () => this.#givesUp(server),
    });
    return chunks.replica(replica.id) ?? replica;
  }

  async #intend(server: ServerAddress): Promise<ReplicaRow> {
    const { chunks, database, sends } = this.#run.services;
    const recipients = sends.find(this.#run.id)?.recipients ?? this.#send.recipients;
    const keys = await newKeys(recipients);
    throwIfAborted(this.#signal);
    const id = database.transaction(() => {
      const replicaId = chunks.addReplica({
        transferId: this.#chunk.transfer_id,
        chunk: this.#chunk.number,
        server: serverKey(server),
        state: 'registering',
        accessKey: generateKeyPair('ed25519').privateKey,
      });
      chunks.addRecipients(replicaId, 1, keys);
      return replicaId;
    });
    const replica = chunks.replica(id);
    if (replica === undefined) throw new XftpError('DATABASE_UNUSABLE', 'A chunk was not recorded.');
    return replica;
  }

  async #create(
    client: RelayClient,
    server: ServerAddress,
    replica: ReplicaRow,
    first: readonly RecipientRow[],
  ): Promise<void> {
    const { chunks, database } = this.#run.services;
    const { digest, size } = this.#chunk;
    if (digest === null) throw new XftpError('DATABASE_UNUSABLE', 'The digest of a chunk was not recorded.');
    const senderKey = { privateKey: replica.access_key, publicKey: publicKeyOf(replica.access_key) };
    const recipientKeys = first.map(({ access_key: key }) => publicKeyOf(key));
    const ids = await client.createChunk(
      server,
      { senderKey, size, digest, recipientKeys },
      { signal: this.#signal },
    );
    database.transaction(() => {
      chunks.setReplicaState(replica.id, 'registered', ids.senderId);
      chunks.setRecipientIds(replica.id, pairUp(first, ids.recipientIds));
    });
  }

  async #upload(server: ServerAddress, replica: ReplicaRow, make: MakeChunk): Promise<void> {
    const { access_id: id, access_key: privateKey } = replica;
    if (id === null) throw new XftpError('DATABASE_UNUSABLE', 'The ID of a chunk was not recorded.');
    const { chunks, ciphers, clock, database, progress, transfers } = this.#run.services;
    const { number, size } = this.#chunk;
    await this.#ask(server, 'upload', async (client, moving) => {
      const buffer = ciphers.memory.take(size);
      let users = 1;
      const release = (): void => {
        users -= 1;
        if (users === 0) ciphers.memory.give(buffer);
      };
      try {
        const bytes = await make(buffer);
        users += 1;
        await client.uploadChunk(
          server,
          { id, privateKey },
          { bytes, onBodyReleased: release },
          {
            signal: this.#signal,
            pace: this.#run.pace,
            onSent: (sent) => {
              moving(sent);
              progress.moving(this.#run.id, number, sent);
            },
          },
        );
      } finally {
        release();
        progress.moving(this.#run.id, number, 0);
      }
    });
    database.transaction(() => {
      chunks.setReplicaState(replica.id, 'uploaded');
      chunks.finish(this.#run.id, number);
      const expires = replica.created_at + CHUNK_LIFE_MS;
      const { expires_at: before } = this.#run.row;
      transfers.update(this.#run.id, {
        expires_at: Math.min(before ?? Infinity, expires, clock.now() + CHUNK_LIFE_MS),
      });
    });
    this.#run.showProgress();
  }

  #ask<T>(server: ServerAddress, action: Ask['action'], request: Request<T>): Promise<T> {
    const { relays } = this.#run.services;
    return relays.ask(
      {
        server,
        action,
        ...(action === 'upload'
          ? { bytes: this.#chunk.size, isOutdated: () => this.#isTooLarge(server) }
          : {}),
        turn: this.#run.turn,
        chunk: this.#chunk.number,
        signal: this.#signal,
        onBlocked: this.#run.onBlocked,
        givesUp: () => this.#givesUp(server),
        onCut: (cut) => {
          this.#countCut(server, cut);
        },
      },
      request,
    );
  }

  /** Returns when the chunk is to be tried again, here or elsewhere. */
  #follow(server: ServerAddress, error: unknown): void {
    if (!isXftpError(error)) throw error;
    switch (consequenceOf(error)) {
      case 'retry':
        return;
      case 'distrust':
        this.#leave(server, error, 'security');
        return;
      case 'other-server':
        this.#leave(server, error);
        return;
      case 'other-replica':
        // The relay has forgotten the chunk: it is registered anew, there or elsewhere.
        this.#lost += 1;
        if (this.#lost >= MAX_LOST) this.#leave(server, error);
        else this.#giveUp(this.#replica);
        return;
      case 'again':
        this.#corrupt += 1;
        if (this.#corrupt >= MAX_CORRUPT) this.#leave(server, error);
        return;
      case 'wait-for-disk':
      case 'wait-for-database':
      case 'fail':
      case 'stop':
        throw error;
    }
  }

  /** The way broke. When it does so again and again with nothing but a part of the chunk on it, the chunk is too large. */
  #countCut(
    server: ServerAddress,
    { moved, alone }: { readonly moved: number; readonly alone: boolean },
  ): void {
    if (!alone) return;
    this.#farthest = Math.max(this.#farthest, moved);
    this.#cuts += 1;
    if (this.#cuts < MAX_CUTS) return;
    const { size } = this.#chunk;
    this.#run.services.fit.tooLarge(serverKey(server), { size, moved: this.#farthest });
    this.#cuts = 0;
  }

  #isTooLarge(server: ServerAddress): boolean {
    return maySplit(this.#run, this.#chunk, this.#run.services.fit.most(serverKey(server)));
  }

  #split(server: ServerAddress, make: MakeChunk): Promise<readonly ChunkRow[]> {
    return splitChunk(this.#run, this.#chunk, this.#run.services.fit.most(serverKey(server)), make);
  }

  /** The server is not used any more for the file; its first chunk to find out tells clients. */
  #leave(server: ServerAddress, reason: XftpError, warning: 'security' | 'relay' = 'relay'): void {
    this.#giveUp(this.#replica);
    if (this.#pick.exclude(server, reason)) this.#run.warn(warning, toFailureInfo(reason), serverKey(server));
  }

  /** The replica is not used; what the relay has of it is deleted when it can be. */
  #giveUp(replica: ReplicaRow | undefined): void {
    if (replica === undefined) return;
    const { chunks, database, relayTasks, wakeRelayTasks } = this.#run.services;
    database.transaction(() => {
      chunks.setReplicaState(replica.id, 'bad');
      if (replica.access_id !== null)
        relayTasks.add({
          action: 'delete',
          owner: this.#run.id,
          server: replica.server,
          accessId: replica.access_id,
          accessKey: replica.access_key,
        });
    });
    wakeRelayTasks();
  }
}

/** Asks a relay for the recipients of a chunk that it does not know yet, so many at a time. */
export async function registerRecipients(
  run: Pick<Run, 'services' | 'turn' | 'onBlocked'>,
  replica: ReplicaRow,
  server: ServerAddress,
  wait: Required<Pick<Ask, 'signal' | 'givesUp'>>,
): Promise<void> {
  const { chunks, relays } = run.services;
  for (;;) {
    const batch = chunks.recipients(replica.id, { unregistered: true }).slice(0, RECIPIENTS_PER_REQUEST);
    const { access_id: id } = chunks.replica(replica.id) ?? replica;
    if (batch.length === 0 || id === null) return;
    const ask = {
      server,
      action: 'create',
      turn: run.turn,
      chunk: replica.chunk,
      onBlocked: run.onBlocked,
      ...wait,
    } as const;
    const ids = await relays.ask(ask, (client) =>
      client.addRecipients(
        server,
        { id, privateKey: replica.access_key },
        batch.map(({ access_key: key }) => publicKeyOf(key)),
        { signal: wait.signal },
      ),
    );
    chunks.setRecipientIds(replica.id, pairUp(batch, ids));
  }
}

/** Fresh keys for so many recipients. */
export async function newKeys(count: number): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  while (keys.length < count) {
    // So that thousands of recipients do not hold up everybody else.
    if (keys.length > 0 && keys.length % KEYS_PER_TURN === 0) await setImmediate();
    keys.push(generateKeyPair('ed25519').privateKey);
  }
  return keys;
}

function pairUp(
  recipients: readonly RecipientRow[],
  ids: readonly Uint8Array[],
): { readonly number: number; readonly id: Uint8Array }[] {
  return recipients.flatMap(({ number }, index) => {
    const id = ids[index];
    return id === undefined ? [] : [{ number, id }];
  });
}
