import { setImmediate } from 'node:timers/promises';

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
import type { ChunkRow, ChunkStore, ReplicaAccess } from './chunk-store.js';
import type { SendStore } from './detail-stores.js';
import type { DescriptionsResult, RecipientDescription } from './model.js';
import type { TransferRow, TransferStore } from './transfer-store.js';

/** Recipients that are described before others have their turn: some tens of ms of work. */
const RECIPIENTS_PER_TURN = 64;

/** Where the descriptions of a send come from. */
export interface DescribeServices {
  readonly transfers: TransferStore;
  readonly sends: SendStore;
  readonly chunks: ChunkStore;
}

/** Makes the descriptions of one send. What they share is read once, however many there are. */
export interface SendDescriber {
  readonly sender: () => FileDescription;
  /** What one recipient, from 1, needs for the file itself. */
  readonly recipient: (number: number) => FileDescription;
}

/** Everything that is handed out of a completed send. */
export async function describeSend(services: DescribeServices, id: string): Promise<DescriptionsResult> {
  const send = services.sends.find(id);
  if (send === undefined) throw new XftpError('ILLEGAL_STATE', 'Only a send has descriptions.');
  const describer = sendDescriber(services, id);
  const stored = storedDescriptions(services, id);
  const recipients: RecipientDescription[] = [];
  while (recipients.length < send.handed_out) {
    const number = recipients.length + 1;
    recipients.push(describeFor(services, describer, { number, stored: stored.get(number) }));
    // So that thousands of recipients do not hold up everybody else.
    if (number % RECIPIENTS_PER_TURN === 0) await setImmediate();
  }
  return {
    sender: formatDescription(describer.sender()),
    recipients,
    spare: send.recipients - send.handed_out,
  };
}

/** Whether the link of a description is too long for a QR code. */
export function needsRedirect(description: FileDescription): boolean {
  return formatDescriptionUri(description).length > QR_LINK_LIMIT;
}

/** The transfers that store the descriptions of a send, by the number of the recipient. */
export function storedDescriptions(
  { sends }: Pick<DescribeServices, 'sends'>,
  id: string,
): ReadonlyMap<number, string> {
  return new Map(
    sends
      .redirects(id)
      .flatMap(({ redirect_recipient: number, transfer_id: stored }) =>
        number === null ? [] : [[number, stored] as const],
      ),
  );
}

/** See {@link SendDescriber}. */
export function sendDescriber(services: DescribeServices, id: string): SendDescriber {
  const row = services.transfers.row(id);
  const chunks = services.chunks.chunks(id);
  return {
    sender: () => describe({ row, chunks, party: 'sender' }, services.chunks.senderAccess(id)),
    recipient: (number) =>
      describe({ row, chunks, party: 'recipient' }, services.chunks.recipientAccess(id, number)),
  };
}

function describeFor(
  services: DescribeServices,
  describer: SendDescriber,
  { number, stored }: { readonly number: number; readonly stored: string | undefined },
): RecipientDescription {
  const description = describer.recipient(number);
  const linked =
    stored === undefined
      ? description
      : {
          ...sendDescriber(services, stored).recipient(1),
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
  {
    row,
    chunks,
    party,
  }: {
    readonly row: TransferRow;
    readonly chunks: readonly ChunkRow[];
    readonly party: FileDescription['party'];
  },
  access: readonly ReplicaAccess[],
): FileDescription {
  const { file_key: key, file_nonce: nonce, file_digest: digest, encrypted_size: size } = row;
  if (key === null || nonce === null || digest === null || size === null)
    throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: there is no description yet.`);
  const replicas = new Map<number, Replica[]>();
  for (const { chunk, server, id, key: accessKey } of access) {
    const replica = { server: parseServerAddress(server), id, key: accessKey };
    const others = replicas.get(chunk);
    if (others === undefined) replicas.set(chunk, [replica]);
    else others.push(replica);
  }
  return {
    party,
    size,
    digest,
    key,
    nonce,
    chunkSize: chunks[0]?.size ?? 0,
    // Counted anew: those that were split left their pieces with numbers out of order.
    chunks: chunks.map(({ number, size: chunkSize, digest: chunkDigest }, index): Chunk => {
      const of = replicas.get(number);
      if (of === undefined || chunkDigest === null)
        throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: not all of it is on relays.`);
      return { number: index + 1, size: chunkSize, digest: chunkDigest, replicas: of };
    }),
  };
}
