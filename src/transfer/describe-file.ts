import type { ReplicaAccess } from '../client/index.js';
import type { FileDescription, Party, ServerAddress } from '../protocol/index.js';

/** A chunk on one of its relays. */
export interface UploadedReplica {
  readonly server: ServerAddress;
  readonly sender: ReplicaAccess;
  readonly recipients: readonly ReplicaAccess[];
}

/** A chunk on its relays. */
export interface UploadedChunk {
  /** From 1. */
  readonly number: number;
  /** Bytes. */
  readonly size: number;
  /** SHA-256: 32 bytes. */
  readonly digest: Uint8Array;
  /** At least one, each on a relay of its own. */
  readonly replicas: readonly UploadedReplica[];
}

/** An encrypted file whose chunks are all uploaded. */
export interface UploadedFile {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  /** Sum of the chunks, in bytes. */
  readonly size: number;
  /** SHA-512 of all chunks: 64 bytes. */
  readonly digest: Uint8Array;
  /** At least one, by number. */
  readonly chunks: readonly UploadedChunk[];
}

/** A file that was sent. */
export interface SentFile {
  /** Lets its holder delete the file. */
  readonly sender: FileDescription;
  /** One for each recipient. */
  readonly recipients: readonly FileDescription[];
}

/** The descriptions of an uploaded file: the sender's, and one for each recipient. */
export function describeFile(file: UploadedFile): SentFile {
  const recipients = file.chunks[0]?.replicas[0]?.recipients ?? [];
  return {
    sender: describe(file, 'sender', ({ sender }) => sender),
    recipients: recipients.map((_, index) =>
      describe(file, 'recipient', (replica) => replica.recipients[index]),
    ),
  };
}

function describe(
  { key, nonce, size, digest, chunks }: UploadedFile,
  party: Party,
  accessTo: (replica: UploadedReplica) => ReplicaAccess | undefined,
): FileDescription {
  return {
    party,
    size,
    digest,
    key,
    nonce,
    chunkSize: chunks[0]?.size ?? 0,
    chunks: chunks.map((chunk) => ({
      ...chunk,
      replicas: chunk.replicas.flatMap((replica) => {
        const access = accessTo(replica);
        const server = withoutPassword(replica.server);
        return access === undefined ? [] : [{ server, id: access.id, key: access.privateKey }];
      }),
    })),
  };
}

/** The password lets people upload; it is not for those who download. */
function withoutPassword({ fingerprint, hosts, port }: ServerAddress): ServerAddress {
  return { fingerprint, hosts, ...(port === undefined ? {} : { port }) };
}
