import { readdir, readFile } from 'node:fs/promises';

import { expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url, encodeBase64Url } from '#src/protocol/index.js';
import { sha256 } from '#src/crypto/index.js';
import { parseSavedStatistics } from '#src/relay/statistics/saved-statistics.js';

import { strictRecords } from '../support/log-grammar.js';
import { asRecipient, asSender, RawClient } from '../support/raw-client.js';
import { recordedRelay, replicasOn } from '../support/recorded-relay.js';
import { type ServerProcess, startServerProcess } from '../support/server-process.js';
import { chunkBytes } from '../support/test-relay.js';

const FINGERPRINT = 'Le4FJsN9topz7qJhBxtT3tQ_2oHeNWbFhrNUSzSjFG0=';

async function connect(server: ServerProcess): Promise<RawClient> {
  const client = await RawClient.open({ port: server.port, fingerprint: decodeBase64Url(FINGERPRINT) });
  onTestFinished(() => client.close());
  return client;
}

it('on the folders of the reference it has the same address, serves its chunks, takes new ones, and goes on counting', async () => {
  const relay = await recordedRelay();
  expect(strictRecords(await readFile(relay.storeLogPath, 'utf8'))).toHaveLength(39);
  const before = parseSavedStatistics(await readFile(relay.logFile('file-server-stats.log'), 'utf8'));

  const server = await startServerProcess(relay.home);
  const client = await connect(server);
  const { stdout } = server.output();
  expect(stdout).toContain(`Server address: xftp://${FINGERPRINT}@relay.example:0\n`);
  const [replica] = await replicasOn('note.txt.xftp/rcv1.xftp', FINGERPRINT);
  const bytes = await client.get({ recipientId: replica!.id, recipientKey: replica!.key });
  expect(typeof bytes === 'string' ? bytes : sha256(bytes)).toEqual(replica!.digest);

  const kept = await client.create(chunkBytes(), { recipients: 2 });
  const gone = await client.create(chunkBytes());
  for (const chunk of [kept, gone]) expect(await client.put(chunk)).toBe('OK');
  expect((await client.command({ type: 'FACK' }, asRecipient(kept))).response.type).toBe('OK');
  expect((await client.command({ type: 'FDEL' }, asSender(gone))).response.type).toBe('OK');

  // As the reference reads it: what was compacted, and what was appended.
  const records = strictRecords(await readFile(relay.storeLogPath, 'utf8'));
  expect(records.slice(-8)).toEqual(['FNEW', 'FADD', 'FNEW', 'FADD', 'FPUT', 'FPUT', 'FACK', 'FDEL']);
  expect((await readdir(relay.filesPath)).sort()).toContain(encodeBase64Url(kept.senderId));
  expect(await server.end('SIGINT')).toBe(0);
  expect(server.output().stderr).toBe('');

  const after = parseSavedStatistics(await readFile(relay.logFile('file-server-stats.log'), 'utf8'));
  expect(after.since).toBe(before.since);
  expect(after.counts).toEqual({
    ...before.counts,
    filesCreated: before.counts.filesCreated + 2,
    fileRecipients: before.counts.fileRecipients + 3,
    filesUploaded: before.counts.filesUploaded + 2,
    filesDeleted: before.counts.filesDeleted + 1,
    fileDownloads: before.counts.fileDownloads + 1,
    fileDownloadAcks: before.counts.fileDownloadAcks + 1,
  });
  // The recorded chunk's number stays, and another one has come.
  for (const period of ['day', 'week', 'month'] as const) {
    expect(after.downloaded[period].size).toBe(2);
    for (const hash of before.downloaded[period]) expect(after.downloaded[period]).toContain(hash);
  }
  expect(await readFile(relay.logFile('file-server-stats.log.bak'), 'utf8')).toBe(
    await readFile('test/vectors/relay-ed448/var/file-server-stats.log', 'utf8'),
  );
  const metrics = await readFile(relay.logFile('xftp-server-metrics.txt'), 'utf8');
  const recorded = await readFile('test/vectors/relay-ed448/var/xftp-server-metrics.txt', 'utf8');
  const names = (text: string): string[] =>
    [...text.matchAll(/^# (?:HELP|TYPE) .*$/gm)].map(([line]) => line);
  expect(names(metrics)).toEqual(names(recorded));

  // And once more, compacted by ourselves.
  const again = await startServerProcess(relay.home);
  strictRecords(await readFile(relay.storeLogPath, 'utf8'));
  const bytesAgain = await (await connect(again)).get({ ...kept, recipientId: kept.recipientIds[1]! });
  expect(Buffer.isBuffer(bytesAgain) && bytesAgain.equals(kept.bytes)).toBe(true);
  expect(await again.end('SIGTERM')).toBe(0);
});
