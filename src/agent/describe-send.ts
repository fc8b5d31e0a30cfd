import {
  type Chunk,
  type FileDescription,
  formatDescription,
  formatDescriptionUri,
  parseServerAddress,
  QR_LINK_LIMIT,
  type Replica,
  webLinkOf,
  XftpError,
} from '../protocol/index.js';
import type { ChunkStore } from './chunk-store.js';
import type { SendStore } from './detail-stores.js';
import type { DescriptionsResult, RecipientDescription } from './model.js';
import type { TransferStore } from './transfer-store.js';

/** Where the descriptions of a send come from. */
export interface DescribeServices {
  readonly transfers: TransferStore;
  readonly sends: SendStore;
  readonly chunks: ChunkStore;
}

/** Everything that is handed out of a completed send. */
export function describeSend(services: DescribeServices, id: string): DescriptionsResult {
  const send = services.sends.find(id);
  if (send === undefined) throw new XftpError('ILLEGAL_STATE', 'Only a send has descriptions.');
  const recipients = Array.from({ length: send.handed_out }, (_, index) =>
    describeFor(services, id, index + 1),
  );
  return {
    sender: formatDescription(senderDescription(services, id)),
    recipients,
    spare: send.recipients - send.handed_out,
  };
}

/** Whether the link of a description is too long for a QR code. */
export function needsRedirect(description: FileDescription): boolean {
  return formatDescriptionUri(description).length > QR_LINK_LIMIT;
}

/** What one recipient needs for the file itself. */
export function recipientDescription(
  services: DescribeServices,
  id: string,
  number: number,
): FileDescription {
  const access = new Map<number, Replica[]>();
  for (const { chunk, server, id: accessId, key } of services.chunks.recipientAccess(id, number))
    access.set(chunk, [
      ...(access.get(chunk) ?? []),
      { server: parseServerAddress(server), id: accessId, key },
    ]);
  return describe(services, id, 'recipient', access);
}

function senderDescription(services: DescribeServices, id: string): FileDescription {
  const access = new Map<number, Replica[]>();
  for (const replica of services.chunks.replicas(id)) {
    if (replica.state !== 'uploaded' || replica.access_id === null) continue;
    access.set(replica.chunk, [
      ...(access.get(replica.chunk) ?? []),
      { server: parseServerAddress(replica.server), id: replica.access_id, key: replica.access_key },
    ]);
  }
  return describe(services, id, 'sender', access);
}

function describeFor(services: DescribeServices, id: string, number: number): RecipientDescription {
  const description = recipientDescription(services, id, number);
  const stored = services.sends.redirects(id).find(({ redirect_recipient: of }) => of === number);
  const linked =
    stored === undefined
      ? description
      : {
          ...recipientDescription(services, stored.transfer_id, 1),
          redirect: { size: description.size, digest: description.digest },
        };
  const link = formatDescriptionUri(linked);
  return {
    number,
    description: formatDescription(description),
    link,
    webLink: webLinkOf(linked),
    redirect: stored !== undefined,
    fitsQrCode: link.length <= QR_LINK_LIMIT,
  };
}

function describe(
  services: DescribeServices,
  id: string,
  party: FileDescription['party'],
  access: ReadonlyMap<number, readonly Replica[]>,
): FileDescription {
  const row = services.transfers.row(id);
  const { file_key: key, file_nonce: nonce, file_digest: digest, encrypted_size: size } = row;
  const chunks = services.chunks.chunks(id);
  if (key === null || nonce === null || digest === null || size === null)
    throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: there is no description yet.`);
  return {
    party,
    size,
    digest,
    key,
    nonce,
    chunkSize: chunks[0]?.size ?? 0,
    chunks: chunks.map(({ number, size: chunkSize, digest: chunkDigest }): Chunk => {
      const replicas = access.get(number);
      if (replicas === undefined || chunkDigest === null)
        throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: not all of it is on relays.`);
      return { number, size: chunkSize, digest: chunkDigest, replicas };
    }),
  };
}
