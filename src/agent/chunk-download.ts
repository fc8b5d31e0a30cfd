import { basename, join } from 'node:path';

import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import { isXftpError, parseServerAddress, type ServerAddress, type XftpError } from '../protocol/index.js';
import {
  checkRoom,
  type DownloadedChunk,
  type EncryptedFile,
  type FilePrefix,
  openChunk,
  openFirstChunk,
} from '../transfer/index.js';
import type { ChunkRow, ReplicaRow } from './chunk-store.js';
import type { ReceiveRow } from './detail-stores.js';
import { consequenceOf, MAX_CORRUPT, toFailureInfo } from './failure-policy.js';
import { boundsOf, workInside } from './folder-bounds.js';
import { incomplete, partPathOf, receiveOf } from './part-record.js';
import type { ReplicaChoice } from './replica-choice.js';
import { type Racer, ReplicaRace } from './replica-race.js';
import type { Run } from './run.js';

/** A chunk that is to be downloaded. */
export interface ChunkDownloadOptions {
  readonly run: Run;
  readonly chunk: ChunkRow;
  readonly file: EncryptedFile;
  /** Shared by all chunks of the file. */
  readonly choice: ReplicaChoice;
  readonly signal: AbortSignal;
}

/** Brings one chunk of a receive into the part file, from whichever of its replicas has it. */
export class ChunkDownload {
  readonly #run: Run;
  readonly #chunk: ChunkRow;
  readonly #file: EncryptedFile;
  readonly #signal: AbortSignal;
  readonly #choice: ReplicaChoice;
  readonly #corrupt = new Map<number, number>();

  constructor({ run, chunk, file, choice, signal }: ChunkDownloadOptions) {
    this.#run = run;
    this.#chunk = chunk;
    this.#file = file;
    this.#choice = choice;
    this.#signal = signal;
  }

  /**
   * Returns when the chunk is in the part file and that is recorded.
   *
   * @throws XftpError that ends the transfer, or CANCELLED
   */
  async run(): Promise<void> {
    for (;;) {
      const replica = this.#pick();
      const race = new ReplicaRace(this.#signal);
      if (
        await race.run(
          (racer) => this.#drive(replica, racer),
          () => this.#rivalOf(replica),
        )
      )
        return;
    }
  }

  get #replicas(): ReplicaRow[] {
    return this.#run.services.chunks.replicasOf(this.#run.id, this.#chunk.number);
  }

  #pick(): ReplicaRow {
    const replica = this.#choice.best(this.#replicas);
    if (replica !== undefined) return replica;
    const all = this.#run.services.chunks.replicas(this.#run.id, { withBad: true });
    const { number } = this.#chunk;
    throw this.#choice.noneLeft(
      number,
      all.filter(({ chunk }) => chunk === number),
    );
  }

  /** Who could be asked while a relay stands still. */
  #rivalOf({ server }: ReplicaRow): ((racer: Racer) => Promise<void>) | undefined {
    const rival = this.#choice.bestOpen(this.#replicas.filter((other) => other.server !== server));
    return rival && ((racer) => this.#drive(rival, racer));
  }

  /** Returns when the chunk is there, or is to be tried again. */
  async #drive(replica: ReplicaRow, racer: Racer): Promise<void> {
    try {
      await this.#download(parseServerAddress(replica.server), replica, racer);
    } catch (error) {
      if (racer.signal.aborted) throw error;
      await this.#follow(replica, error);
    }
  }

  async #download(server: ServerAddress, replica: ReplicaRow, racer: Racer): Promise<void> {
    const { ciphers, health, progress, relays } = this.#run.services;
    const { digest, number, size } = this.#chunk;
    const { access_id: id, access_key: privateKey } = replica;
    if (id === null || digest === null) throw incomplete();
    const { signal } = racer;
    const ask = {
      server,
      action: 'download',
      bytes: size,
      turn: this.#run.turn,
      chunk: number,
      signal,
      onBlocked: (reason?: XftpError) => this.#run.onBlocked(this.#choice.whyItWaits(this.#replicas, reason)),
      givesUp: () => this.#choice.hasSooner(replica, this.#replicas),
    } as const;
    await relays.ask(ask, async (client, moving) => {
      const visit = health.begin(replica.server);
      const memory = ciphers.memory.take(size + DOWNLOAD_TAG_LENGTH);
      racer.moved();
      try {
        const { secret, nonce } = await client.downloadChunk(server, { id, privateKey }, memory, {
          signal,
          pace: this.#run.pace,
          onReceived: (received) => {
            racer.moved();
            moving(received);
            progress.moving(this.#run.id, number, Math.min(received, size));
          },
        });
        visit.succeeded(size);
        await racer.finish(async () => {
          this.#record(
            await this.#write({ index: number - 1, box: memory, boxSecret: secret, boxNonce: nonce, digest }),
          );
        });
      } catch (error) {
        if (this.#signal.aborted) visit.left();
        else visit.failed();
        throw error;
      } finally {
        progress.moving(this.#run.id, number, 0);
        // A request that has failed writes nothing more into it.
        ciphers.memory.give(memory);
      }
    });
  }

  /** In one transaction, since each one is flushed: a file of one chunk costs few. */
  #record(first: FilePrefix | undefined): void {
    const { chunks, database, receives, transfers } = this.#run.services;
    const { id } = this.#run;
    database.transaction(() => {
      if (first !== undefined) {
        const receive = receiveOf(this.#run);
        receives.setPart(id, { path: partPathOf(receive), prefix: first.prefix });
        transfers.update(id, {
          file_size: first.contentLength,
          ...(receive.wanted_name === null ? { file_name: first.header.name } : {}),
        });
      }
      chunks.finish(id, this.#chunk.number);
      const { chunks_done: done, chunks_total: total } = this.#run.row;
      if (done === total) this.#run.enter('verifying');
    });
    this.#run.showProgress();
  }

  /** Gives what the first chunk tells of the file, unless that is recorded already. */
  async #write(downloaded: DownloadedChunk): Promise<FilePrefix | undefined> {
    const receive = receiveOf(this.#run);
    return workInside(boundsOf(this.#run.row), receive.directory, (folder) =>
      this.#writeIn(folder, receive, downloaded),
    );
  }

  async #writeIn(
    folder: string,
    receive: ReceiveRow,
    downloaded: DownloadedChunk,
  ): Promise<FilePrefix | undefined> {
    const { ciphers } = this.#run.services;
    const partPath = join(folder, basename(partPathOf(receive)));
    const request = { file: this.#file, downloaded, partPath };
    if (receive.prefix !== null) {
      await openChunk({ ...request, contentOffset: receive.prefix.length }, ciphers);
      return undefined;
    }
    return openFirstChunk(
      {
        ...request,
        resume: true,
        checkContent: () =>
          checkRoom(
            folder,
            this.#file.chunkSizes.reduce((sum, size) => sum + size, 0),
          ),
      },
      ciphers,
    );
  }

  /** Returns when the chunk is to be tried again, from here or elsewhere. */
  async #follow(replica: ReplicaRow, error: unknown): Promise<void> {
    if (!isXftpError(error)) throw error;
    switch (consequenceOf(error)) {
      case 'retry':
        return;
      case 'distrust':
        this.#distrust(replica, error);
        return;
      case 'other-server':
      case 'other-replica':
        this.#drop(replica, error);
        return;
      case 'again': {
        const times = (this.#corrupt.get(replica.id) ?? 0) + 1;
        this.#corrupt.set(replica.id, times);
        if (times >= MAX_CORRUPT) this.#drop(replica, error);
        return;
      }
      case 'wait-for-disk':
        await this.#run.waitForDisk(receiveOf(this.#run).directory, this.#chunk.size, error);
        return;
      case 'wait-for-database':
      case 'fail':
      case 'stop':
        throw error;
    }
  }

  /** The server is not used any more for the file; its first chunk to find out tells clients. */
  #distrust({ server, id }: ReplicaRow, reason: XftpError): void {
    const { chunks } = this.#run.services;
    if (chunks.replica(id)?.state !== 'bad') this.#run.warn('security', toFailureInfo(reason), server);
    chunks.distrust(this.#run.id, server);
    this.#choice.gaveUp(server, reason);
  }

  #drop(replica: ReplicaRow, reason: XftpError): void {
    this.#run.services.chunks.setReplicaState(replica.id, 'bad');
    this.#choice.gaveUp(replica.server, reason);
  }
}
