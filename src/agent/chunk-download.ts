import { basename, join } from 'node:path';

import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import { parseServerAddress, type XftpError } from '../protocol/index.js';
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
import { toFailureInfo } from './failure-policy.js';
import { boundsOf, workInside } from './folder-bounds.js';
import { incomplete, partPathOf, receiveOf } from './part-record.js';
import type { ReplicaChoice } from './replica-choice.js';
import { type DownloadAttempt, downloadFromAny } from './replica-download.js';
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
    const { chunks } = this.#run.services;
    const { id } = this.#run;
    const { number, size } = this.#chunk;
    await downloadFromAny<ReplicaRow>({
      run: this.#run,
      choice: this.#choice,
      signal: this.#signal,
      bytes: size,
      chunk: number,
      replicas: () => chunks.replicasOf(id, number),
      download: (replica, attempt) => this.#download(replica, attempt),
      giveUp: (replica) => {
        chunks.setReplicaState(replica.id, 'bad');
      },
      distrust: (replica, reason) => {
        this.#distrust(replica, reason);
      },
      noneLeft: () => {
        const all = chunks.replicas(id, { withBad: true });
        return this.#choice.noneLeft(
          number,
          all.filter(({ chunk }) => chunk === number),
        );
      },
      waitForDisk: (reason) => this.#run.waitForDisk(receiveOf(this.#run).directory, size, reason),
    });
  }

  async #download(
    replica: ReplicaRow,
    { client, signal, onReceived, finish }: DownloadAttempt,
  ): Promise<void> {
    const { ciphers, progress } = this.#run.services;
    const { digest, number, size } = this.#chunk;
    const { access_id: id, access_key: privateKey } = replica;
    if (id === null || digest === null) throw incomplete();
    const server = parseServerAddress(replica.server);
    const memory = ciphers.memory.take(size + DOWNLOAD_TAG_LENGTH);
    try {
      const { secret, nonce } = await client.downloadChunk(server, { id, privateKey }, memory, {
        signal,
        pace: this.#run.pace,
        onReceived: (received) => {
          onReceived(received);
          progress.moving(this.#run.id, number, Math.min(received, size));
        },
      });
      await finish(async () => {
        await this.#record(
          await this.#write({ index: number - 1, box: memory, boxSecret: secret, boxNonce: nonce, digest }),
        );
      });
    } finally {
      progress.moving(this.#run.id, number, 0);
      // A request that has failed writes nothing more into it.
      ciphers.memory.give(memory);
    }
  }

  /** The last chunk takes the transfer on, in the same transaction: a file of one chunk costs few. */
  async #record(first: FilePrefix | undefined): Promise<void> {
    const { chunks, database, progress, receives, transfers } = this.#run.services;
    const { id } = this.#run;
    const { number } = this.#chunk;
    const record = (): void => {
      if (first !== undefined) {
        const receive = receiveOf(this.#run);
        receives.setPart(id, { path: partPathOf(receive), prefix: first.prefix });
        transfers.update(id, {
          file_size: first.contentLength,
          ...(receive.wanted_name === null ? { file_name: first.header.name } : {}),
        });
      }
      chunks.finish(id, number);
    };
    const { chunks_done: before, chunks_total: all } = this.#run.row;
    let recorded: Promise<void> | undefined;
    if (before + 1 < all) recorded = database.transactionAsync(record);
    else
      database.transaction(() => {
        record();
        const { chunks_done: done, chunks_total: total } = this.#run.row;
        if (done === total) this.#run.enter('verifying');
      });
    // Its bytes count once: those that are recorded do not move any more.
    progress.moving(id, number, 0);
    this.#run.showProgress();
    await recorded;
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

  /** The server is not used any more for the file; its first chunk to find out tells clients. */
  #distrust({ server, id }: ReplicaRow, reason: XftpError): void {
    const { chunks } = this.#run.services;
    if (chunks.replica(id)?.state !== 'bad') this.#run.warn('security', toFailureInfo(reason), server);
    chunks.distrust(this.#run.id, server);
  }
}
