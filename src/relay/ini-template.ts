import { formatSizeText } from '../protocol/index.js';

/** What `init` puts into a new INI. */
export interface IniValues {
  readonly storeLog: boolean;
  /** Host name or address for the server address. */
  readonly host: string;
  readonly port: number;
  readonly filesPath: string;
  /** Bytes. */
  readonly storageQuota: number;
  readonly createPassword?: string | undefined;
  readonly webPath: string;
  readonly webCertificate: string;
  readonly webKey: string;
}

/** The text of a new INI, with every key of the reference's (protocol reference, section 11.3). */
export function formatIni(values: IniValues): string {
  return `[INFORMATION]
# The licence of a relay that you changed may oblige you to publish its source code. If source_code is set,
# the information below is shown to the users of the relay.
# source_code: https://
# usage_conditions: https://
# condition_amendments: https://
# server_country: ISO 3166 alpha-2 code
# operator: entity (organization or person name)
# operator_country: ISO 3166 alpha-2 code
# website: https://
# admin_simplex: SimpleX address
# admin_email: email address
# admin_pgp: PGP key address
# admin_pgp_fingerprint: PGP key fingerprint
# complaints_simplex: SimpleX address
# complaints_email: email address
# complaints_pgp: PGP key address
# complaints_pgp_fingerprint: PGP key fingerprint
# hosting: entity (organization or person name)
# hosting_country: ISO 3166 alpha-2 code
# hosting_type: virtual, dedicated, colocation or owned

[STORE_LOG]
# With the store log the relay finds its chunks again after a restart: it is an append-only file, which is
# compacted at every start. Without it (off) all chunks are lost when the relay stops.
enable: ${onOff(values.storeLog)}

# Where records are kept while the relay runs: memory.
store_files: memory

# Keys of the database store of the reference relay; not used by this one.
# db_connection: postgresql://xftp@/xftp_server_store
# db_schema: xftp_server
# db_pool_size: 10
# db_store_log: off

# Chunks are deleted after this many hours.
expire_files_hours: 48

# Write a line of statistics into a CSV file each day.
log_stats: off

# Write metrics for Prometheus into a file every so many seconds.
# prometheus_interval: 60

# When what clients are told of is forced to the disk: always (before they are told), everysec (once a second), or
# never (as the system likes). Only a power loss or a crash of the system makes a difference, and then all but
# always lose chunks and deletions that clients were told of.
# fsync: always

[AUTH]
# off: nobody can upload new files. Files that are here stay available until they expire.
new_files: on

# With a password only those who know it can upload new files; it is a part of the server address:
# xftp://fingerprint:password@host. Allowed: printable characters except space, @, : and /.
${values.createPassword === undefined ? '# create_password: PASSWORD' : `create_password: ${values.createPassword}`}

# Who knows one of these may use the control port.
# control_port_admin_password:
# control_port_user_password:

[TRANSPORT]
# Host is only used to print the server address at start; put a comma between several names.
host: ${values.host}
port: ${String(values.port)}

# Several ports with commas, the first one for the server address: port: 443,5223
# Addresses of this machine to listen on, with commas; all of them, IPv6 and IPv4, unless given.
# listen: 127.0.0.1,::1

# Processes that serve connections beside the one that keeps the records, with 50 to 90 MB of memory each: as many as
# the machine has cores, 8 at most, unless given. 1: one process does everything, which is enough for a small relay.
# connection_workers: 2

log_tls_errors: off

# A port on the loopback interface for the control commands.
# control_port: 5226

# A port on the loopback interface for metrics over HTTP: http://127.0.0.1:9226/metrics.
# metrics_port: 9226

[FILES]
# The folder of the chunks, and how much they may take up: a number with kb, mb, gb or tb.
path: ${values.filesPath}
storage_quota: ${formatSizeText(values.storageQuota)}

[LIMITS]
# What clients may have at once: numbers, or off. Those of one address do not count for loopback, where Tor comes from,
# and for private networks. Registrations are chunks that were announced and not uploaded yet.
# connections: 20000
# connections_per_address: 1000
# registrations_per_address: 10000

[INACTIVE_CLIENTS]
# on: close connections whose last request is more than ttl seconds ago, looking every check_interval seconds.
disconnect: off
# ttl: 21600
# check_interval: 3600

[WEB]
# The folder of the web pages, which browsers get when there is a web certificate.
static_path: ${values.webPath}

# Ports for the pages alone, without TLS and with the web certificate.
# http: 8000
# https: 8443

# With a web certificate (the whole chain) browsers can send and receive files too. SIGHUP reads it again.
# cert: ${values.webCertificate}
# key: ${values.webKey}
`;
}

function onOff(flag: boolean): string {
  return flag ? 'on' : 'off';
}
