import { basename, join } from 'node:path';

import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import { isXftpError, parseServerAddress, type ServerAddress, XftpError } from '../protocol/index.js';
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
import type { Run } from './run.js';

/** Brings one chunk of a receive into the part file, from whichever of its replicas has it. */
export class ChunkDownload {
  readonly #run: Run;
  readonly #chunk: ChunkRow;
  readonly #file: EncryptedFile;
  readonly #signal: AbortSignal;
  readonly #corrupt = new Map<number, number>();
  #lastFailure: XftpError | undefined;

  constructor(run: Run, chunk: ChunkRow, file: EncryptedFile, signal: AbortSignal) {
    this.#run = run;
    this.#chunk = chunk;
    this.#file = file;
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
      try {
        await this.#download(parseServerAddress(replica.server), replica);
        return;
      } catch (error) {
        await this.#follow(replica, error);
      }
    }
  }

  /** The first usable replica whose server's gate is open, or else the first one. */
  #pick(): ReplicaRow {
    const { chunks, gates } = this.#run.services;
    const replicas = chunks.replicasOf(this.#run.id, this.#chunk.number);
    const replica = replicas.find(({ server }) => gates.isOpen(server)) ?? replicas[0];
    if (replica === undefined)
      throw (
        this.#lastFailure ??
        new XftpError(
          'CHUNK_GONE',
          'No relay has a part of this file any more: it has expired or was deleted.',
        )
      );
    return replica;
  }

  async #download(
    server: ServerAddress,
    { access_id: id, access_key: privateKey }: ReplicaRow,
  ): Promise<void> {
    const { ciphers, progress, relays } = this.#run.services;
    const { digest, number, size } = this.#chunk;
    if (id === null || digest === null) throw incomplete();
    const ask = {
      server,
      action: 'download',
      bytes: size,
      turn: this.#run.turn,
      chunk: number,
      signal: this.#signal,
      onBlocked: this.#run.onBlocked,
    } as const;
    const first = await relays.ask(ask, async (client, moving) => {
      const memory = ciphers.memory.take(size + DOWNLOAD_TAG_LENGTH);
      try {
        const { secret, nonce } = await client.downloadChunk(server, { id, privateKey }, memory, {
          signal: this.#signal,
          pace: this.#run.pace,
          onReceived: (received) => {
            moving(received);
            progress.moving(this.#run.id, number, Math.min(received, size));
          },
        });
        return await this.#write({
          index: number - 1,
          box: memory,
          boxSecret: secret,
          boxNonce: nonce,
          digest,
        });
      } finally {
        progress.moving(this.#run.id, number, 0);
        // A request that has failed writes nothing more into it.
        ciphers.memory.give(memory);
      }
    });
    this.#record(first);
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
    this.#lastFailure = reason;
  }

  #drop(replica: ReplicaRow, reason: XftpError): void {
    this.#run.services.chunks.setReplicaState(replica.id, 'bad');
    this.#lastFailure = reason;
  }
}
