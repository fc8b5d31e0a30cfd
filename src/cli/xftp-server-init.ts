import { isIP } from 'node:net';

import {
  formatRelayAddress,
  initRelay,
  relayFiles,
  type RelayFolders,
  renewOnlineCertificate,
  requireRelay,
} from '../relay/index.js';
import { DEFAULT_PORT } from '../protocol/index.js';

/** What `init` takes from the environment beside the quota, as the images of the reference do (section 11.2). */
export interface InitDefaults {
  readonly fqdn: string | undefined;
  readonly ip: string;
  readonly password: string | undefined;
}

/** Reads `ADDR`, a host name or an address, and `PASS`. */
export function initDefaults(environment: Readonly<Record<string, string | undefined>>): InitDefaults {
  const value = (name: string): string | undefined => {
    const text = environment[name]?.trim();
    return text === '' ? undefined : text;
  };
  const host = value('ADDR');
  const isAddress = host !== undefined && isIP(host) !== 0;
  return {
    fqdn: isAddress ? undefined : host,
    ip: isAddress ? host : '127.0.0.1',
    password: value('PASS'),
  };
}

/** Options of `init`, as commander hands them over. */
export interface InitArguments {
  readonly path: string;
  /** Bytes. */
  readonly quota: number;
  readonly fqdn?: string | undefined;
  readonly ip: string;
  readonly signAlgorithm: Algorithm;
  readonly disableStoreLog?: boolean;
  readonly webPath?: string;
}

type Algorithm = 'ED448' | 'ED25519';
const ALGORITHMS = { ED448: 'ed448', ED25519: 'ed25519' } as const;

/** `init`: a new server, and what its operator has to know (protocol reference, section 11.1). */
export async function initServer(
  folders: RelayFolders,
  version: string,
  options: InitArguments & { readonly password: string | undefined },
): Promise<void> {
  const { fingerprint, host } = await initRelay(folders, {
    filesPath: options.path,
    storageQuota: options.quota,
    ip: options.ip,
    algorithm: ALGORITHMS[options.signAlgorithm],
    storeLog: options.disableStoreLog !== true,
    ...(options.password === undefined ? {} : { createPassword: options.password }),
    ...(options.fqdn === undefined ? {} : { fqdn: options.fqdn }),
    ...(options.webPath === undefined ? {} : { webPath: options.webPath }),
  });
  const files = relayFiles(folders);
  const line = '-'.repeat(100);
  process.stdout.write(
    [
      `Server initialized, you can modify configuration in ${files.ini}.`,
      'Run `xftp-server start` to start server.',
      line,
      'Move the CA key to a safe place off this machine: it is the identity of the relay. Should the keys',
      'of this machine ever leak, a new certificate signed with it (`xftp-server cert`) keeps the address.',
      `CA key: ${files.identityKey}`,
      line,
      version,
      `Fingerprint: ${fingerprint}`,
      `Server address: ${formatRelayAddress(fingerprint, host, DEFAULT_PORT)}`,
      '',
    ].join('\n'),
  );
}

/** `cert`: a new online certificate; the server's address stays. */
export async function renewServer(
  folders: RelayFolders,
  options: { readonly signAlgorithm?: Algorithm; readonly cn?: string },
): Promise<void> {
  await requireRelay(folders);
  await renewOnlineCertificate(folders, {
    ...(options.signAlgorithm === undefined ? {} : { algorithm: ALGORITHMS[options.signAlgorithm] }),
    ...(options.cn === undefined ? {} : { commonName: options.cn }),
  });
  process.stdout.write(
    'Generated new server credentials. Restart the server to use them, or send it SIGHUP, which keeps its connections.\n',
  );
}
