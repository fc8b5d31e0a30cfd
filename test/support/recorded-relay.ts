import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeBase64Url, encodeBase64Url, encodeUtf8 } from '#src/protocol/index.js';

import { temporaryFolder } from './temporary-folder.js';

/** A replica in a recorded description. */
export interface Replica {
  readonly number: number;
  readonly id: Uint8Array;
  readonly key: Uint8Array;
  readonly digest: Uint8Array;
}

/** Replicas on one relay in a recorded description. */
export async function replicasOn(file: string, fingerprint: string): Promise<Replica[]> {
  const text = await readFile(join('test/vectors/files', file), 'utf8');
  const [, entries = ''] = text.split('replicas:\n');
  return entries
    .split('- chunks:\n')
    .filter((entry) => entry.includes(fingerprint))
    .flatMap((entry) => [...entry.matchAll(/- (\d+):([^:\s]+):([^:\s]+)(?::([^:\s]+))?/g)])
    .map(([, number, id, key, digest]) => ({
      number: Number(number),
      id: decodeBase64Url(id!),
      key: decodeBase64Url(key!),
      digest: decodeBase64Url(digest ?? ''),
    }));
}

/** The folders of the recorded Ed448 relay, in a temporary place. */
export interface RecordedRelay {
  /** Holds `etc`, `var` and `srv`. */
  readonly home: string;
  readonly iniPath: string;
  readonly storeLogPath: string;
  readonly filesPath: string;
  /** What is in the folder of the log. */
  readonly logFile: (name: string) => string;
}

/**
 * Copies the recorded Ed448 relay. Everything is as the reference left it, but for the place of the folders, and for the
 * life of the chunks, which are of November 2026. The web pages, which the reference makes at its start, were not recorded.
 *
 * @param port to listen on
 */
export async function recordedRelay(port = 0): Promise<RecordedRelay> {
  const home = await temporaryFolder();
  await cp('test/vectors/relay-ed448', home, { recursive: true });
  await mkdir(join(home, 'var/www'));
  const storeLogPath = join(home, 'var/file-server-store.log');
  const filesPath = join(home, 'srv');
  const log = (await readFile(storeLogPath, 'utf8')).replaceAll(
    /^(FPUT \S+) (\S+)$/gm,
    (_line, head: string, path: string) => {
      const name = Buffer.from(path, 'base64url').toString().replace('/srv/xftp/', '');
      return `${head} ${encodeBase64Url(encodeUtf8(join(filesPath, name)))}`;
    },
  );
  await writeFile(storeLogPath, log);
  const iniPath = join(home, 'etc/file-server.ini');
  const ini = (await readFile(iniPath, 'utf8'))
    .replace('path = /srv/xftp', `path = ${filesPath}`)
    .replace('expire_files_hours = 48', 'expire_files_hours = 876000')
    .replaceAll('/etc/opt/simplex-xftp', join(home, 'etc'))
    .replaceAll('/var/opt/simplex-xftp', join(home, 'var'))
    .replace('port = 5443', `port = ${String(port)}`)
    .replace('control_port = 5226', 'control_port = 0');
  await writeFile(iniPath, ini);
  return { home, iniPath, storeLogPath, filesPath, logFile: (name) => join(home, 'var', name) };
}
