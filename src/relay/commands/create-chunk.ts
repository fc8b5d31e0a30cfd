import type { Response } from '../../protocol/index.js';
import { constantTimeEqual, randomBytes, sha256 } from '../../crypto/index.js';
import { ID_LENGTH, type Recipient, startOfHour } from '../record.js';
import type { NewChunk } from '../record-owner.js';
import type { OwnerServices, RelayPolicy } from '../services.js';
import { errorResponse } from './reply.js';

/** How often IDs are drawn before the relay gives up (section 4.5: INTERNAL). */
const MAX_ID_DRAWS = 3;

/**
 * FNEW: "password, then size; creates a new record each time; creation time is stored rounded down to the hour; no
 * quota is reserved" (protocol reference, section 5.3). The signature has been verified with the key inside.
 */
export async function createChunk(
  chunk: NewChunk,
  client: string | undefined,
  services: OwnerServices,
): Promise<Response> {
  if (!mayCreate(chunk.password, services.policy)) return errorResponse('AUTH');
  if (!services.policy.chunkSizes.includes(chunk.size)) return errorResponse('SIZE');
  // Clients take it for "no room here" and go to another relay.
  if (!services.registrations.take(client)) return errorResponse('QUOTA');
  let response: Response | undefined;
  try {
    response = await register(chunk, services);
  } finally {
    if (response?.type !== 'SIDS') services.registrations.giveBack(client);
  }
  return response;
}

async function register(chunk: NewChunk, services: OwnerServices): Promise<Response> {
  for (let draw = 0; draw < MAX_ID_DRAWS; draw++) {
    const senderId = randomBytes(ID_LENGTH);
    const recipients = drawRecipients(chunk.recipientKeys);
    const outcome = await services.store.change(
      {
        type: 'FNEW',
        senderId,
        // Copies: the record must not keep the block alive that the chunk came in.
        senderKey: Uint8Array.from(chunk.senderKey),
        size: chunk.size,
        digest: Uint8Array.from(chunk.digest),
        createdAt: startOfHour(services.now() / 1000),
        status: { type: 'active' },
      },
      { type: 'FADD', senderId, recipients },
    );
    if (outcome !== 'done') continue;
    services.statistics.count('filesCreated');
    services.statistics.count('fileRecipients', recipients.length);
    return { type: 'SIDS', senderId, recipientIds: recipients.map(({ id }) => id) };
  }
  return errorResponse('INTERNAL');
}

/**
 * FADD: new recipient IDs for a chunk, before or after its upload. QUOTA when it would have too many: of the protocol's
 * errors it is the one that clients understand as "no room here" and do not try again.
 */
export async function addRecipients(
  senderId: Uint8Array,
  keys: readonly Uint8Array[],
  services: OwnerServices,
): Promise<Response> {
  for (let draw = 0; draw < MAX_ID_DRAWS; draw++) {
    const recipients = drawRecipients(keys);
    const outcome = await services.store.change({ type: 'FADD', senderId, recipients });
    if (outcome === 'done') {
      services.statistics.count('fileRecipients', recipients.length);
      return { type: 'RIDS', recipientIds: recipients.map(({ id }) => id) };
    }
    if (outcome === 'full') return errorResponse('QUOTA');
    if (outcome === 'unknown') return errorResponse('AUTH');
  }
  return errorResponse('INTERNAL');
}

/** "A password sent to a server without one is ignored" (section 5.3). */
function mayCreate(password: Uint8Array | undefined, policy: RelayPolicy): boolean {
  if (!policy.newFiles) return false;
  if (policy.createPassword === undefined) return true;
  // Digests have equal lengths, so that the time tells nothing of the password's length either.
  return constantTimeEqual(sha256(password ?? new Uint8Array()), sha256(policy.createPassword));
}

function drawRecipients(keys: readonly Uint8Array[]): readonly Recipient[] {
  return keys.map((key) => ({ id: randomBytes(ID_LENGTH), key: Uint8Array.from(key) }));
}
