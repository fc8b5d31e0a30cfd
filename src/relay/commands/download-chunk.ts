import { DOWNLOAD_NONCE_LENGTH } from '../../protocol/index.js';
import { generateKeyPair, randomBytes, SecretBoxStream, sharedSecret } from '../../crypto/index.js';
import type { ChunkRecord } from '../record.js';
import type { ConnectionServices } from '../services.js';
import { errorReply, type PendingDownload, type Reply } from './reply.js';

/**
 * FGET: "no body yet: NO_FILE; body recorded but missing on disk: AUTH; otherwise a fresh X25519 key pair and random
 * nonce" (protocol reference, section 5.3). Downloads change nothing.
 *
 * @param clientKey the client's X25519 key (SPKI) for this download
 */
export function downloadChunk(
  record: ChunkRecord,
  clientKey: Uint8Array,
  services: ConnectionServices,
): Reply | PendingDownload {
  const { place, size } = record;
  if (place === undefined) return errorReply('NO_FILE');
  // Copies: who waits must not keep the block alive that the command came in, or more of the record.
  const key = Uint8Array.from(clientKey);
  const senderId = Uint8Array.from(record.senderId);
  return { begin: () => beginDownload({ place, senderId, size }, key, services) };
}

async function beginDownload(
  { place, senderId, size }: { place: string } & Pick<ChunkRecord, 'senderId' | 'size'>,
  clientKey: Uint8Array,
  services: ConnectionServices,
): Promise<Reply> {
  const pair = generateKeyPair('x25519');
  const nonce = randomBytes(DOWNLOAD_NONCE_LENGTH);
  let box: SecretBoxStream;
  try {
    box = new SecretBoxStream(sharedSecret(pair.privateKey, clientKey), nonce);
  } catch {
    // The client's key is one of the few that agree on nothing: "crypto initialisation failure" (section 4.5).
    return errorReply('INTERNAL');
  }
  const reader = await services.storage.open(place, size);
  if (reader === undefined) return errorReply('AUTH');
  services.owner.countDownload(senderId);
  return { response: { type: 'FILE', key: pair.publicKey, nonce }, download: { reader, size, box } };
}
