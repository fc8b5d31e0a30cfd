import { join } from 'node:path';

/** Where a relay keeps its things (protocol reference, section 11.2). */
export interface RelayFolders {
  /** INI, credentials, fingerprint. */
  readonly config: string;
  /** Store log, statistics. */
  readonly log: string;
}

/** The folders named by the environment, or the reference's defaults. */
export function relayFolders(environment: Readonly<Record<string, string | undefined>>): RelayFolders {
  return {
    config: nonEmpty(environment['XFTP_SERVER_CFG_PATH']) ?? '/etc/opt/simplex-xftp',
    log: nonEmpty(environment['XFTP_SERVER_LOG_PATH']) ?? '/var/opt/simplex-xftp',
  };
}

/** Paths of a relay's files, named as the reference names them. */
export function relayFiles(folders: RelayFolders): {
  readonly ini: string;
  readonly identityKey: string;
  readonly identityCertificate: string;
  readonly onlineKey: string;
  readonly onlineCertificate: string;
  readonly fingerprint: string;
  readonly storeLog: string;
  readonly dailyStatistics: string;
  readonly savedStatistics: string;
  readonly metrics: string;
  readonly defaultWebFolder: string;
} {
  return {
    ini: join(folders.config, 'file-server.ini'),
    identityKey: join(folders.config, 'ca.key'),
    identityCertificate: join(folders.config, 'ca.crt'),
    onlineKey: join(folders.config, 'server.key'),
    onlineCertificate: join(folders.config, 'server.crt'),
    fingerprint: join(folders.config, 'fingerprint'),
    storeLog: join(folders.log, 'file-server-store.log'),
    dailyStatistics: join(folders.log, 'file-server-stats.daily.log'),
    savedStatistics: join(folders.log, 'file-server-stats.log'),
    metrics: join(folders.log, 'xftp-server-metrics.txt'),
    defaultWebFolder: join(folders.log, 'www'),
  };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
