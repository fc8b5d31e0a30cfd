import { realpath, stat, unlink } from 'node:fs/promises';
import { basename, isAbsolute } from 'node:path';

import {
  fitFileName,
  type FileDescription,
  formatDescription,
  isXftpError,
  MAX_RECIPIENTS,
  parseDescription,
  parseLink,
  parseServerAddress,
  XftpError,
} from '../protocol/index.js';
import {
  checkReceivable,
  ensureFolder,
  localFailure,
  type ReplicaCounts,
  snapshotSource,
} from '../transfer/index.js';
import type { Caller } from './agent-api.js';
import { unknownServers } from './approval.js';
import type { Direction, InspectResult, ReceiveParams, SendParams, TransferInfo } from './model.js';
import { CHUNK_LIFE_MS } from './chunk-upload.js';
import { sourceCheck } from './folder-bounds.js';
import { recordChunks } from './receive-run.js';
import { replicaCounts } from './replica-plan.js';
import type { RunServices } from './run.js';
import { serverKey } from './server-store.js';
import { hoursInMs } from './settings-store.js';
import { newTransferId } from './transfer-id.js';
import type { NewTransfer } from './transfer-store.js';

/** What taking on transfers needs. */
export interface IntakeOptions {
  readonly services: RunServices;
  readonly snapshotPath: (id: string) => string;
  /** Where received files go unless told otherwise. */
  readonly downloadsDir: string;
  /** Aborts when the agent stops. */
  readonly signal: AbortSignal;
}

/** Takes on new transfers: checks what is asked, records it, and puts it into the queue. */
export class Intake {
  readonly #services: RunServices;
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#services = options.services;
    this.#options = options;
  }

  /** See {@link AgentApi.send}. */
  async send(params: SendParams, caller: Caller): Promise<TransferInfo> {
    const existing = this.#existing('send', params.clientRef, caller);
    if (existing !== undefined) return existing;
    const { settings } = this.#services;
    if (params.snapshot === false && caller.folders !== undefined)
      throw new XftpError(
        'FORBIDDEN',
        'A token with folders sends copies only, since files in its folders may change places: leave out snapshot: false.',
      );
    const path = await this.#sourcePath(params.path);
    const replicas = this.#replicas(params);
    const deadline = this.#deadline(params.deadline);
    const handedOut = recipientsOf(params);
    const id = newTransferId();
    const snapshotPath = params.snapshot === false ? undefined : this.#options.snapshotPath(id);
    if (snapshotPath !== undefined)
      await snapshotSource(path, snapshotPath, {
        maxSize: settings().maxFileSize,
        signal: this.#options.signal,
        ...sourceCheck(caller.folders),
      });
    try {
      const { size: fileSize } = await stat(snapshotPath ?? path);
      // Another call with the same name may have come first while this one copied. From here on none can.
      const raced = this.#existing('send', params.clientRef, caller);
      if (raced !== undefined) {
        await removeSnapshot(snapshotPath);
        return raced;
      }
      this.#services.transfers.create(
        {
          id,
          direction: 'send',
          tokenId: caller.tokenId,
          ...(params.clientRef === undefined ? {} : { clientRef: params.clientRef }),
          priority: params.priority ?? 0,
          deadline,
          fileName: fitFileName(params.fileName ?? basename(params.path)),
          fileSize,
          path,
          ...boundsFor(caller),
          ...connectionsOf(params),
        },
        () => {
          this.#services.sends.create(id, {
            ...(snapshotPath === undefined ? {} : { snapshotPath }),
            handedOut,
            // The number of recipients stays hidden within a power of two.
            recipients: withSpares(handedOut),
            ...(params.servers === undefined ? {} : { servers: params.servers }),
            redirect: params.redirect ?? 'auto',
            replicas,
          });
        },
      );
    } catch (error) {
      await removeSnapshot(snapshotPath);
      throw error;
    }
    this.#services.wake();
    return this.#services.transfers.info(id);
  }

  /** See {@link AgentApi.receive}. */
  async receive(params: ReceiveParams, caller: Caller): Promise<TransferInfo> {
    const existing = this.#existing('receive', params.clientRef, caller);
    if (existing !== undefined) return existing;
    const { database, receives, servers, settings, transfers } = this.#services;
    const description = readSource(params);
    checkReceivable(description);
    const directory = await folderPath(params.directory ?? (await this.#downloadsFolder()));
    const raced = this.#existing('receive', params.clientRef, caller);
    if (raced !== undefined) return raced;
    const approveRelays = params.approveRelays ?? settings().approveRelays;
    const unknown = unknownServers(description, servers);
    if (approveRelays === 'known' && unknown.length > 0)
      throw new XftpError(
        'NOT_APPROVED',
        `The file is on relays that the server list does not approve for downloads: ${unknown.join(', ')}.`,
      );
    const id = newTransferId();
    database.transaction(() => {
      transfers.create(
        {
          id,
          direction: 'receive',
          tokenId: caller.tokenId,
          ...(params.clientRef === undefined ? {} : { clientRef: params.clientRef }),
          priority: params.priority ?? 0,
          deadline: this.#deadline(params.deadline),
          ...(params.fileName === undefined ? {} : { fileName: params.fileName }),
          ...boundsFor(caller),
          ...connectionsOf(params),
        },
        () => {
          receives.create(id, {
            description: formatDescription(description),
            directory,
            ...(params.fileName === undefined ? {} : { wantedName: params.fileName }),
            onConflict: params.onConflict ?? 'rename',
            acknowledge: params.acknowledge ?? false,
            approveRelays,
          });
          // Nobody tells how old the chunks are: this is how long they can last at most.
          transfers.update(id, { expires_at: this.#services.clock.now() + CHUNK_LIFE_MS });
          // A redirect's file is one that is still to be found.
          if (description.redirect === undefined) recordChunks({ id, services: this.#services }, description);
        },
      );
    });
    this.#services.wake();
    return transfers.info(id);
  }

  /** See {@link AgentApi.inspect}. */
  inspect(source: { readonly description?: string; readonly link?: string }): InspectResult {
    const { servers } = this.#services;
    const { party, size, chunks, redirect } = readSource(source);
    const bytes = new Map<string, number>();
    for (const chunk of chunks)
      for (const { server } of chunk.replicas) {
        const key = serverKey(server);
        bytes.set(key, (bytes.get(key) ?? 0) + chunk.size);
      }
    return {
      party,
      encryptedSize: size,
      chunks: chunks.length,
      servers: [...bytes].map(([address, count]) => ({
        address,
        bytes: count,
        known: servers.approves(parseServerAddress(address)),
      })),
      ...(redirect === undefined ? {} : { redirect: { encryptedSize: redirect.size } }),
    };
  }

  /** The transfer that the caller has given this name to. */
  #existing(
    direction: Direction,
    clientRef: string | undefined,
    { tokenId }: Caller,
  ): TransferInfo | undefined {
    if (clientRef === undefined) return undefined;
    const { transfers } = this.#services;
    const row = transfers.findByClientRef(tokenId, clientRef);
    if (row !== undefined && row.direction !== direction)
      throw new XftpError(
        'INVALID_ARGUMENT',
        `The clientRef ${clientRef} names a transfer of the other direction (${row.direction}): choose another one.`,
      );
    return row === undefined ? undefined : transfers.info(row.id);
  }

  /** Made when it is first needed, as other programs do; a folder that somebody named has to be there. */
  async #downloadsFolder(): Promise<string> {
    const { downloadsDir } = this.#options;
    await ensureFolder(downloadsDir);
    return downloadsDir;
  }

  async #sourcePath(path: string): Promise<string> {
    if (!isAbsolute(path)) throw new XftpError('INVALID_ARGUMENT', `${path} is not an absolute path.`);
    let resolved = path;
    try {
      resolved = await realpath(path);
      const stats = await stat(resolved);
      if (stats.isDirectory())
        throw new XftpError(
          'INVALID_ARGUMENT',
          `${path} is a folder: pack it into one file first (zip, tar) and send that.`,
        );
      if (!stats.isFile())
        throw new XftpError('INVALID_ARGUMENT', `${path} is not a regular file and cannot be sent.`);
      return resolved;
    } catch (error) {
      // Where a link leads to is what may be missing.
      throw localFailure(error, resolved);
    }
  }

  #replicas(params: SendParams): ReplicaCounts {
    const { servers, settings } = this.#services;
    const available = params.servers === undefined ? servers.forUpload() : servers.parseList(params.servers);
    if (available.length === 0)
      throw new XftpError(
        'INVALID_ARGUMENT',
        'There is no relay to send through: add one to the server list (`xftp-agent servers add` and its address, or --preset ' +
          'simplex for the public ones), or name one.',
      );
    return replicaCounts(params, settings().replicas, available);
  }

  #deadline(deadline: number | undefined): number {
    const { clock, settings } = this.#services;
    const now = clock.now();
    if (deadline !== undefined && deadline <= now)
      throw new XftpError('INVALID_ARGUMENT', 'The deadline has passed already.');
    return deadline ?? now + hoursInMs(settings().deadlineHours);
  }
}

async function removeSnapshot(path: string | undefined): Promise<void> {
  if (path !== undefined) await unlink(path).catch(() => undefined);
}

function boundsFor({ folders }: Caller): { readonly folders?: readonly string[] } {
  return folders === undefined ? {} : { folders };
}

/** What a transfer asks of its connections. */
function connectionsOf({
  isolation,
  limit,
}: SendParams | ReceiveParams): Pick<NewTransfer, 'isolation' | 'limit'> {
  return {
    ...(isolation === undefined ? {} : { isolation }),
    ...(limit === undefined ? {} : { limit }),
  };
}

function recipientsOf({ recipients = 1 }: SendParams): number {
  if (!Number.isInteger(recipients) || recipients < 1 || recipients > MAX_RECIPIENTS)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `A file has 1 to ${String(MAX_RECIPIENTS)} recipients, not ${String(recipients)}.`,
    );
  return recipients;
}

/** How many recipients relays are told of: the next power of two, but no more than they take. */
export function withSpares(count: number): number {
  return Math.min(MAX_RECIPIENTS, 2 ** Math.ceil(Math.log2(count)));
}

function readSource({
  description,
  link,
}: {
  readonly description?: string;
  readonly link?: string;
}): FileDescription {
  if (description !== undefined && link === undefined) return parseDescription(description);
  if (link !== undefined && description === undefined) return parseLink(link);
  throw new XftpError('INVALID_ARGUMENT', 'Give either a description or a link.');
}

async function folderPath(directory: string): Promise<string> {
  if (!isAbsolute(directory))
    throw new XftpError('INVALID_ARGUMENT', `${directory} is not an absolute path.`);
  try {
    const resolved = await realpath(directory);
    if (!(await stat(resolved)).isDirectory())
      throw new XftpError('INVALID_ARGUMENT', `${directory} is not a folder.`);
    return resolved;
  } catch (error) {
    const failure = localFailure(error, directory);
    throw isXftpError(failure, 'SOURCE_MISSING')
      ? new XftpError(
          'SOURCE_MISSING',
          `The folder ${directory} does not exist: make it first, or name another one.`,
          { cause: error },
        )
      : failure;
  }
}
