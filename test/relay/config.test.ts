import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { parseRelayConfig } from '#src/relay/index.js';
import { formatIni } from '#src/relay/ini-template.js';
import { parseIni } from '#src/relay/ini.js';
import { withEnvironment } from '#src/relay/ini-keys.js';

const MINIMAL = '[TRANSPORT]\nport: 443\n[FILES]\npath: /srv/xftp\n';
const NAME = 'file-server.ini';

const template = formatIni({
  storeLog: true,
  host: 'relay.example',
  port: 443,
  filesPath: '/srv/xftp',
  storageQuota: 100 * 2 ** 30,
  webPath: '/var/www',
  webCertificate: '/etc/web.crt',
  webKey: '/etc/web.key',
});

describe('an INI', () => {
  it('without optional keys has the defaults of the reference', () => {
    expect(parseRelayConfig(MINIMAL, NAME)).toEqual({
      sourceCode: undefined,
      storeLog: false,
      chunkLifeSeconds: 48 * 3600,
      newFiles: true,
      createPassword: undefined,
      host: undefined,
      port: 443,
      ports: [443],
      connectionWorkers: undefined,
      listenAddresses: undefined,
      web: { certificate: undefined, httpPort: undefined, httpsPort: undefined, pagesPath: undefined },
      limits: {},
      filesPath: '/srv/xftp',
      storageQuota: undefined,
      inactiveClients: undefined,
      fsync: 'always',
      dailyStatistics: false,
      metricsFileSeconds: undefined,
      controlPort: undefined,
      controlPasswords: { admin: undefined, user: undefined },
      metricsPort: undefined,
      logTlsErrors: false,
      remarks: [],
    });
  });

  it('as init writes it reads back', () => {
    expect(parseRelayConfig(template, NAME)).toMatchObject({
      storeLog: true,
      host: 'relay.example',
      filesPath: '/srv/xftp',
      storageQuota: 100 * 2 ** 30,
    });
  });

  it('as init writes it names every key of the recorded INIs, and of the reference', () => {
    const known = new Set([...template.matchAll(/^(?:# )?([a-z_]+):/gm)].map(([, key]) => key));
    for (const path of ['relay-ed448/etc', 'relay-ed25519/cfg'])
      for (const keys of parseIni(readFileSync(`test/vectors/${path}/${NAME}`, 'utf8'), NAME).values())
        for (const key of keys.keys()) expect(known).toContain(key);
    for (const key of [
      'db_connection',
      'db_store_log',
      'hosting_type',
      'control_port_user_password',
      'http',
      'ttl',
    ])
      expect(known).toContain(key);
  });

  it('may use = and :, comments, blanks and carriage returns', () => {
    const ini = parseIni('# a\r\n; b\r\n[ S ]\r\n a = 1 = 2 \r\nb:2:3\r\n\r\nb = again', NAME);
    expect([...ini.get('S')!]).toEqual([
      ['a', { value: '1 = 2', place: 'line 4' }],
      ['b', { value: '2:3', place: 'line 5' }],
    ]);
  });

  it('may turn on or off what has no effect yet', () => {
    for (const flag of ['on', 'off']) {
      const flags = `[STORE_LOG]\nlog_stats: ${flag}\ndb_store_log: ${flag}\n[TRANSPORT]\nlog_tls_errors: ${flag}\n`;
      expect(parseRelayConfig(MINIMAL + flags, NAME).port).toBe(443);
    }
  });

  it('names ports, addresses, limits and what browsers get', () => {
    const text = `[TRANSPORT]
port: 443, 5223
listen: 127.0.0.1, ::1
connection_workers: 3
[FILES]
path: /srv
[LIMITS]
connections: 7
connections_per_address: off
[WEB]
cert: /web.crt
key: /web.key
static_path: /www
`;
    expect(parseRelayConfig(text, NAME)).toMatchObject({
      port: 443,
      ports: [443, 5223],
      listenAddresses: ['127.0.0.1', '::1'],
      connectionWorkers: 3,
      limits: { connections: 7, connectionsPerAddress: Infinity },
      web: { certificate: { certificatePath: '/web.crt', keyPath: '/web.key' }, pagesPath: '/www' },
    });
  });

  it.each([
    ['::1, 0:0:0:0:0:0:0:1, ::1', ['::1']],
    ['2001:DB8:0::1, 127.0.0.1, 127.0.0.1', ['2001:db8::1', '127.0.0.1']],
    ['::, ::1, 127.0.0.1', ['::']],
    ['0.0.0.0, 0::0, 192.0.2.1, 2001:db8::1', ['0.0.0.0', '::']],
    ['0.0.0.0, 192.0.2.1, ::1', ['0.0.0.0', '::1']],
    ['FE80:0::1%eth0, fe80::1%eth1', ['fe80::1%eth0', 'fe80::1%eth1']],
  ])('listens once on each of %s', (listen, addresses) => {
    const { listenAddresses } = parseRelayConfig(`${MINIMAL}[TRANSPORT]\nlisten: ${listen}\n`, NAME);
    expect(listenAddresses).toEqual(addresses);
  });

  it('may have blanks around the commas between hosts', () => {
    const text = '[TRANSPORT]\nhost = a.example, b.example ,c.onion\nport: 443\n[FILES]\npath: /srv\n';
    expect(parseRelayConfig(text, NAME).host).toBe('a.example,b.example,c.onion');
  });

  it('may name a port twice where nothing is in the way of the other', () => {
    const operator = '[TRANSPORT]\ncontrol_port: 443\nmetrics_port: 8443\n';
    const elsewhere = `${MINIMAL}${operator}listen: 192.0.2.1, ::1\n`;
    expect(parseRelayConfig(elsewhere, NAME)).toMatchObject({ controlPort: 443, metricsPort: 8443 });
    const useless = `${MINIMAL}[TRANSPORT]\ncontrol_port: 8000\n[WEB]\nhttp: 8000\n`;
    expect(parseRelayConfig(useless, NAME)).toMatchObject({ controlPort: 8000 });
    const chosen = '[TRANSPORT]\nport: 0\ncontrol_port: 0\nmetrics_port: 0\n[FILES]\npath: /srv\n';
    expect(parseRelayConfig(chosen, NAME)).toMatchObject({ port: 0, controlPort: 0, metricsPort: 0 });
  });

  it('turns on the closing of inactive clients', () => {
    const text = `${MINIMAL}[INACTIVE_CLIENTS]\ndisconnect: on\nttl: 60\ncheck_interval: 10\n`;
    expect(parseRelayConfig(text, NAME).inactiveClients).toEqual({ ttlSeconds: 60, checkSeconds: 10 });
  });
});

describe('the environment', () => {
  it('counts more than the INI, key by key, and not when it is empty', () => {
    const config = parseRelayConfig(`${MINIMAL}[AUTH]\nnew_files: on\n`, NAME, {
      XFTP_AUTH_NEW_FILES: 'off',
      XFTP_AUTH_CREATE_PASSWORD: '',
      XFTP_TRANSPORT_PORT: '5223',
      XFTP_TRANSPORT_LISTEN: '::1',
      XFTP_LIMITS_CONNECTIONS: '7',
      XFTP_FILES_STORAGE_QUOTA: '1.5 TB',
      XFTP_STORE_LOG_EXPIRE_FILES_HOURS: '1',
      XFTP_SERVER_CFG_PATH: '/somewhere',
      XFTP_RTS_OPTIONS: '-N',
    });
    expect(config).toMatchObject({
      newFiles: false,
      createPassword: undefined,
      port: 5223,
      listenAddresses: ['::1'],
      limits: { connections: 7 },
      storageQuota: 1.5 * 2 ** 40,
      chunkLifeSeconds: 3600,
      remarks: [],
    });
  });

  it('is named when it is wrong', () => {
    const environment = { XFTP_AUTH_NEW_FILES: 'no' };
    expect(() => parseRelayConfig(MINIMAL, NAME, environment)).toThrow(
      'The environment variable XFTP_AUTH_NEW_FILES: [AUTH] new_files must be on or off, found "no".',
    );
  });
});

it('names that mean nothing are told once each, with their place', () => {
  const text = `${MINIMAL}storage_qouta: 1gb\n[AUTH]\nNew_files: off\n[COLOURS]\nred: 1\n`;
  const none = "is none of this relay's: it has no effect.";
  expect(parseRelayConfig(text, NAME, { XFTP_AUTH_NEWFILES: 'off', PATH: '/bin' }).remarks).toEqual([
    `file-server.ini, line 5: the key "storage_qouta" in [FILES] ${none}`,
    `file-server.ini, line 7: the key "New_files" in [AUTH] ${none}`,
    `file-server.ini, line 9: the key "red" in [COLOURS] ${none}`,
    `The environment variable XFTP_AUTH_NEWFILES ${none}`,
  ]);
  // Every key that init writes means something, those in comments too.
  const all = template.replaceAll(/^# ((?!(?:on|off|xftp):)[a-z_]+:)/gm, '$1');
  const { remarks } = withEnvironment(parseIni(all, NAME), NAME, {});
  expect(remarks).toEqual([]);
});

it.each([
  ['10gb', 10 * 2 ** 30],
  ['10GB', 10 * 2 ** 30],
  ['10 Gb', 10 * 2 ** 30],
  ['10G', 10 * 2 ** 30],
  ['10GiB', 10 * 2 ** 30],
  ['0.5tb', 2 ** 39],
  ['500mb', 500 * 2 ** 20],
  ['64K', 65536],
  ['1024', 1024],
  ['1024 bytes', 1024],
])('a quota may be written as %s', (text, bytes) => {
  expect(parseRelayConfig(`${MINIMAL}storage_quota = ${text}\n`, NAME).storageQuota).toBe(bytes);
});

it.each(['', '-1gb', '1e9', '10 pb', 'gb', '9999999999999tb', '1,5gb'])('a quota is not %j', (text) => {
  expect(() => parseRelayConfig(`${MINIMAL}storage_quota = ${text}\n`, NAME)).toThrow('storage_quota');
});

it('ports, passwords, intervals and the flush policy are read', () => {
  const text =
    `${MINIMAL}[STORE_LOG]\nfsync: everysec\nlog_stats: on\nprometheus_interval: 30\n` +
    '[TRANSPORT]\ncontrol_port: 5226\nmetrics_port: 9226\nlog_tls_errors: on\n' +
    '[AUTH]\ncontrol_port_admin_password: secret\n';
  expect(parseRelayConfig(text, NAME)).toMatchObject({
    fsync: 'everysec',
    dailyStatistics: true,
    metricsFileSeconds: 30,
    controlPort: 5226,
    metricsPort: 9226,
    logTlsErrors: true,
    controlPasswords: { admin: 'secret', user: undefined },
  });
});

describe('a mistake in the INI is one sentence naming line, section, key and what is expected', () => {
  it.each([
    ['[FILES]\npath: /srv\n', 'file-server.ini: section [TRANSPORT] needs the key "port".'],
    ['[TRANSPORT]\nport: 443\n', 'file-server.ini: section [FILES] needs the key "path".'],
    [
      '[TRANSPORT]\nport: https\n[FILES]\npath: /srv\n',
      'file-server.ini, line 2: [TRANSPORT] port must be a whole number from 0 to 65535, or several different ones with commas, found "https".',
    ],
    ...['443,', '443,443', '443,65536', ''].map((port): [string, string] => [
      `[TRANSPORT]\nport: ${port}\n[FILES]\npath: /srv\n`,
      'file-server.ini, line 2: [TRANSPORT] port must be a whole number from 0 to 65535, or several different',
    ]),
    [
      `${MINIMAL}[TRANSPORT]\nlisten: localhost\n`,
      'file-server.ini, line 6: [TRANSPORT] listen must be an IPv4 or IPv6 address, or several with commas, found "localhost".',
    ],
    [
      `${MINIMAL}[TRANSPORT]\ncontrol_port: 443\n`,
      'file-server.ini, line 6: [TRANSPORT] control_port must be another port than port in [TRANSPORT], found "443".',
    ],
    [
      `[TRANSPORT]\nport: 443,5223\nlisten: ::1,::\n[FILES]\npath: x\n[TRANSPORT]\nmetrics_port: 5223\n`,
      'file-server.ini, line 7: [TRANSPORT] metrics_port must be another port than port in [TRANSPORT], found "5223".',
    ],
    [
      `${MINIMAL}[TRANSPORT]\ncontrol_port: 5226\nmetrics_port: 5226\n`,
      'file-server.ini, line 7: [TRANSPORT] metrics_port must be another port than control_port in [TRANSPORT], found "5226".',
    ],
    [
      `${MINIMAL}[TRANSPORT]\ncontrol_port: 8000\n[WEB]\nstatic_path: /www\nhttp: 8000\n`,
      'file-server.ini, line 6: [TRANSPORT] control_port must be another port than http in [WEB], found "8000".',
    ],
    ...['0', '-1', 'many', '99999999'].map((number): [string, string] => [
      `${MINIMAL}[LIMITS]\nconnections_per_address: ${number}\n`,
      'file-server.ini, line 6: [LIMITS] connections_per_address must be a whole number from 1 to 10000000, or off',
    ]),
    [
      `${MINIMAL}[AUTH]\nnew_files: yes\n`,
      'file-server.ini, line 6: [AUTH] new_files must be on or off, found "yes".',
    ],
    [
      `${MINIMAL}[STORE_LOG]\nstore_files: database\n`,
      'file-server.ini, line 6: [STORE_LOG] store_files must be memory, since this relay has no PostgreSQL store (the reference moves its records into a store log with `database export`), found "database".',
    ],
    [
      `${MINIMAL}[STORE_LOG]\nexpire_files_hours: 0\n`,
      'file-server.ini, line 6: [STORE_LOG] expire_files_hours must be a whole number from 1 to 876000, found "0".',
    ],
    [
      `[FILES]\nstorage_quota: lots\npath: x\n[TRANSPORT]\nport: 1\n`,
      'file-server.ini, line 2: [FILES] storage_quota must be a size such as 500mb, 10gb or 1.5tb, found "lots".',
    ],
    [
      `${MINIMAL}[AUTH]\ncreate_password: not@allowed\n`,
      'file-server.ini, line 6: [AUTH] create_password must be 1 to 255 printable ASCII characters without space, @, : and /',
    ],
    [
      `${MINIMAL}[AUTH]\ncreate_password:\n`,
      'file-server.ini, line 6: [AUTH] create_password must be 1 to 255 printable ASCII characters',
    ],
    [
      `${MINIMAL}[AUTH]\ncreate_password: straße\n`,
      'file-server.ini, line 6: [AUTH] create_password must be',
    ],
    [
      `[FILES]\nstorage_quota:\npath: x\n[TRANSPORT]\nport: 1\n`,
      'file-server.ini, line 2: [FILES] storage_quota must be a size such as 500mb, 10gb or 1.5tb, found "".',
    ],
    [
      `${MINIMAL}[STORE_LOG]\nexpire_files_hours:\n`,
      'file-server.ini, line 6: [STORE_LOG] expire_files_hours must be a whole number from 1 to 876000, found "".',
    ],
    [
      `${MINIMAL}[INACTIVE_CLIENTS]\ndisconnect: on\n`,
      'file-server.ini: section [INACTIVE_CLIENTS] needs the key "ttl".',
    ],
    [
      `${MINIMAL}[STORE_LOG]\nlog_stats: true\n`,
      'file-server.ini, line 6: [STORE_LOG] log_stats must be on or off, found "true".',
    ],
    [
      `${MINIMAL}[STORE_LOG]\ndb_store_log:\n`,
      'file-server.ini, line 6: [STORE_LOG] db_store_log must be on or off, found "".',
    ],
    [
      `${MINIMAL}[TRANSPORT]\nconnection_workers: 0\n`,
      'file-server.ini, line 6: [TRANSPORT] connection_workers must be a whole number from 1 to 256, found "0".',
    ],
    [
      `${MINIMAL}[TRANSPORT]\nlog_tls_errors: ON\n`,
      'file-server.ini, line 6: [TRANSPORT] log_tls_errors must be on or off, found "ON".',
    ],
    [
      `${MINIMAL}[INACTIVE_CLIENTS]\ndisconnect: no\n`,
      'file-server.ini, line 6: [INACTIVE_CLIENTS] disconnect must be on or off, found "no".',
    ],
    ['port: 443\n', 'file-server.ini, line 1: expected [SECTION].'],
    [`${MINIMAL}rubbish\n`, 'file-server.ini, line 5: expected [SECTION] or "key = value".'],
  ])('%j', (text, message) => {
    expect(() => parseRelayConfig(text, NAME)).toThrow(message);
  });
});
