import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { formatDescriptionUri, parseDescription, parseServerList } from '#src/protocol/index.js';
import { sendFile } from '#src/transfer/index.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { transferContext } from '../support/transfers.js';

/** Stores a description on a relay and gives a link that leads to it. */
export async function redirectThrough(address: string, description: string): Promise<string> {
  const source = join(await temporaryFolder(), 'direct.yaml');
  writeFileSync(source, description);
  const servers = parseServerList(address);
  const request = { source, name: 'direct.yaml', servers, recipients: 1, maxSize: 100_000 };
  const { recipients } = await sendFile(request, transferContext());
  const { size, digest } = parseDescription(description);
  return formatDescriptionUri({ ...recipients[0]!, redirect: { size, digest } });
}
