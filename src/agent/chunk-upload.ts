import type { RelayClient } from '../client/index.js';
import { generateKeyPair, publicKeyOf } from '../crypto/index.js';
import { isXftpError, parseServerAddress, type ServerAddress, XftpError } from '../protocol/index.js';
import { severalFailures } from '../transfer/index.js';
import { throwIfAborted } from '../transport/index.js';
import { maySplit } from './chunk-split.js';
import type { ChunkRow, RecipientRow, ReplicaRow } from './chunk-store.js';
import type { SendRow } from './detail-stores.js';
import { consequenceOf, MAX_WRONG_UPLOADS, toFailureInfo } from './failure-policy.js';
import type { Ask, Request } from './relay-access.js';
import type { ReplicaPlaces } from './replica-plan.js';
import { newKeys, pairUp, RECIPIENTS_PER_REQUEST, registerRecipients } from './recipient-registration.js';
import type { Run } from './run.js';
import { serverKey } from './server-store.js';
import type { ServerPick, Taken } from './server-pick.js';

/** A registered chunk moves to another server when its own has failed so often; one that is not, at the first failure. */
export const PATIENCE = 3;
/** How long the answer to a registration is still awaited when the transfer is stopped, in ms: it is then not made twice. */
const REGISTRATION_ANSWER_MS = 1000;
/** How often relays may forget the chunk between its registration and its upload before it goes elsewhere. */
const MAX_LOST = 3;
/** How long chunks stay on relays, in ms, as far as a client can know. */
export const CHUNK_LIFE_MS = 48 * 3600_000;

/** Makes the chunk's bytes in the memory given. */
export type MakeChunk = (buffer: Uint8Array) => Promise<Uint8Array>;

/** What an upload needs of whoever runs it. */
export type UploadRun = Pick<
  Run,
  'id' | 'services' | 'row' | 'pace' | 'turn' | 'onBlocked' | 'warn' | 'showProgress'
>;

/** One replica that is to be made. */
export interface ChunkUploadOptions {
  readonly run: UploadRun;
  readonly send: SendRow;
  readonly chunk: ChunkRow;
  readonly pick: ServerPick;
  /** Where the other replicas of the chunk are. */
  readonly places: ReplicaPlaces;
  /** What an earlier try has got as far as a relay. */
  readonly replica?: ReplicaRow;
  readonly signal: AbortSignal;
  /** Told how many bytes of the chunk are sent; 0 when it starts anew. */
  readonly onSent: (bytes: number) => void;
}

/** Brings one chunk of a send onto one relay, whatever it takes: makes one of its replicas. */
export class ChunkUpload {
  readonly #options: ChunkUploadOptions;
  readonly #run: UploadRun;
  readonly #chunk: ChunkRow;
  readonly #pick: ServerPick;
  readonly #signal: AbortSignal;
  #replicaId: number | undefined;
  /** Servers that failed too often. */
  readonly #left = new Set<string>();
  /** Whether a relay has failed it. */
  #hasFailed = false;
  /** Failures since it is at its server. */
  #failures = 0;
  #corrupt = 0;
  #lost = 0;

  constructor(options: ChunkUploadOptions) {
    this.#options = options;
    this.#run = options.run;
    this.#chunk = options.chunk;
    this.#pick = options.pick;
    this.#signal = options.signal;
    this.#replicaId = options.replica?.id;
    options.places.take(this, options.replica?.server);
  }

  /**
   * Returns when the chunk is on a relay and that is recorded.
   *
   * @returns how large chunks may be, in bytes, when this one is too large for its way and nothing is under way; mostly
   *   undefined
   * @throws XftpError that ends the transfer, or CANCELLED
   */
  async run(make: MakeChunk): Promise<number | undefined> {
    for (;;) {
      const { server, replica } = this.#place();
      if (this.#isTooLarge(server)) return this.#run.services.fit.most(serverKey(server));
      try {
        await this.#upload(server, await this.#register(server, replica), make);
        return undefined;
      } catch (error) {
        this.#follow(server, error);
      }
    }
  }

  /**
   * Registers the chunk with one relay, unless that is done: a description may name it before it has the bytes.
   *
   * @throws what the relay answers; CANCELLED
   */
  async registerOnly(): Promise<void> {
    const { server, replica } = this.#place();
    await this.#register(server, replica);
  }

  /** Where it goes, and what an earlier try has got as far as there. */
  #place(): { readonly server: ServerAddress; readonly replica: ReplicaRow | undefined } {
    const replica = this.#registered();
    const server = replica === undefined ? this.#next() : this.#serverOf(replica);
    this.#options.places.take(this, serverKey(server));
    return { server, replica };
  }

  /** One that can be asked now, or else one that was not asked yet: so each of those that fail is looked at again. */
  #next(): ServerAddress {
    const others = new Set([...this.#taken, ...this.#left]);
    if (this.#pick.hasOpen(others)) return this.#pick.next(others);
    if (this.#pick.hasOpen(this.#taken)) return this.#pick.next(this.#taken);
    if (this.#pick.hasFree(others)) return this.#pick.next(others);
    this.#left.clear();
    return this.#pick.next(this.#taken);
  }

  #registered(): ReplicaRow | undefined {
    const replica = this.#replica;
    if (replica === undefined) return undefined;
    const server = this.#serverOf(replica);
    // A relay may answer each time that it is asked, and never take the whole chunk.
    const tired = this.#failures >= PATIENCE && this.#pick.hasOpenOther(server, this.#taken);
    if (!tired && !this.#givesUp(server) && !this.#looksElsewhere(replica)) return replica;
    this.#left.add(replica.server);
    this.#giveUp(replica);
    return undefined;
  }

  /** Whether its relay, which knows nothing of it, has just failed, and another one may be back. */
  #looksElsewhere({ state, server }: ReplicaRow): boolean {
    if (state !== 'registering' || this.#failures === 0) return false;
    const { failures } = this.#run.services.gates.status(server);
    return failures > 0 && this.#pick.hasFree(new Set([...this.#taken, server]));
  }

  get #replica(): ReplicaRow | undefined {
    if (this.#replicaId === undefined) return undefined;
    const replica = this.#run.services.chunks.replica(this.#replicaId);
    return replica?.state === 'bad' ? undefined : replica;
  }

  /** Servers of the chunk's other replicas. */
  get #taken(): Taken {
    return this.#options.places.takenFrom(this);
  }

  /** Whether the server has failed too often, while another one could be asked. */
  #givesUp(server: ServerAddress): boolean {
    const { failures } = this.#run.services.gates.status(serverKey(server));
    if (failures === 0 || !this.#pick.hasOpenOther(server, this.#taken)) return false;
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
      // An earlier run may have recorded it, and not have come to its flush.
      if (existing !== undefined && !this.#hasFailed) await this.#run.services.database.flushed();
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
    const { chunks, database } = this.#run.services;
    const keys: Uint8Array[] = [];
    // There may be more recipients while keys are made.
    while (keys.length < this.#recipients) keys.push(...(await newKeys(this.#recipients - keys.length)));
    throwIfAborted(this.#signal);
    const record = (): number => {
      const replicaId = chunks.addReplica({
        transferId: this.#chunk.transfer_id,
        chunk: this.#chunk.number,
        server: serverKey(server),
        state: 'registering',
        accessKey: generateKeyPair('ed25519').privateKey,
      });
      chunks.addRecipients(replicaId, 1, keys);
      this.#replicaId = replicaId;
      return replicaId;
    };
    // One that goes from a relay that fails to the next would seem to move while the disk is asked.
    const id = this.#hasFailed ? database.transaction(record) : await database.transactionAsync(record);
    const replica = chunks.replica(id);
    if (replica === undefined) throw new XftpError('DATABASE_UNUSABLE', 'A chunk was not recorded.');
    return replica;
  }

  get #recipients(): number {
    const { send, run } = this.#options;
    return run.services.sends.find(run.id)?.recipients ?? send.recipients;
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
      { signal: this.#signal, answerMs: REGISTRATION_ANSWER_MS },
    );
    await database.transactionAsync(() => {
      const { state = 'bad' } = chunks.replica(replica.id) ?? {};
      // Given up while the relay was asked.
      if (state === 'bad') {
        discardReplica(this.#run.services, { ...replica, access_id: Buffer.from(ids.senderId) });
        return;
      }
      chunks.setRegistered(replica.id, ids.senderId);
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
              this.#options.onSent(sent);
            },
          },
        );
      } catch (error) {
        this.#options.onSent(0);
        throw error;
      } finally {
        release();
      }
    });
    this.#run.services.fit.arrived(serverKey(server), size);
    const isDone = chunks.uploadedReplicas(this.#run.id, number) + 1 >= this.#options.send.replicas_required;
    const recorded = database.transactionAsync(() => {
      chunks.setReplicaState(replica.id, 'uploaded');
      if (isDone) chunks.finish(this.#run.id, number);
      const expires = replica.created_at + CHUNK_LIFE_MS;
      const { expires_at: before } = this.#run.row;
      transfers.update(this.#run.id, {
        expires_at: Math.min(before ?? Infinity, expires, clock.now() + CHUNK_LIFE_MS),
      });
    });
    // Its bytes count once: those that are recorded do not move any more.
    if (isDone) progress.moving(this.#run.id, number, 0);
    this.#run.showProgress();
    await recorded;
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
        onBlocked: (reason) => this.#run.onBlocked(this.#whyItWaits(reason)),
        givesUp: () => this.#givesUp(server),
        onCut: ({ moved, alone }) => {
          if (alone) this.#run.services.fit.cut(serverKey(server), { size: this.#chunk.size, moved });
        },
      },
      request,
    );
  }

  /** A chunk that must be on several relays waits for all that fail. */
  #whyItWaits(reason: XftpError | undefined): XftpError | undefined {
    return this.#options.send.replicas === 1 ? reason : severalFailures(this.#pick.failing(), reason);
  }

  /** Returns when the chunk is to be tried again, here or elsewhere. */
  #follow(server: ServerAddress, error: unknown): void {
    if (!isXftpError(error)) throw error;
    this.#hasFailed = true;
    switch (consequenceOf(error)) {
      case 'retry':
        this.#failures += 1;
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
        if (this.#corrupt >= MAX_WRONG_UPLOADS) this.#leave(server, error);
        return;
      case 'wait-for-disk':
      case 'wait-for-database':
      case 'fail':
      case 'stop':
        throw error;
    }
  }

  #isTooLarge(server: ServerAddress): boolean {
    return maySplit(this.#run, this.#chunk, this.#run.services.fit.most(serverKey(server)));
  }

  /** The server is not used any more for the file; its first chunk to find out tells clients. */
  #leave(server: ServerAddress, reason: XftpError, warning: 'security' | 'relay' = 'relay'): void {
    this.#giveUp(this.#replica);
    if (this.#pick.exclude(server, reason)) this.#run.warn(warning, toFailureInfo(reason), serverKey(server));
  }

  /** Another replica takes its place. */
  #giveUp(replica: ReplicaRow | undefined): void {
    this.#options.places.take(this, undefined);
    this.#failures = 0;
    if (replica === undefined) return;
    this.#replicaId = undefined;
    discardReplica(this.#run.services, replica);
  }
}

/** The replica is not used; what the relay has of it is deleted when it can be. */
export function discardReplica(services: Run['services'], replica: ReplicaRow): void {
  const { chunks, database, relayTasks, wakeRelayTasks } = services;
  database.transaction(() => {
    chunks.setReplicaState(replica.id, 'bad');
    if (replica.access_id !== null)
      relayTasks.add({
        action: 'delete',
        owner: replica.transfer_id,
        server: replica.server,
        accessId: replica.access_id,
        accessKey: replica.access_key,
      });
  });
  wakeRelayTasks();
}
