-- The schema after migration 6. Made by `npm run schema:dump`; change it with a new migration.

CREATE TABLE chunks (
  transfer_id TEXT NOT NULL REFERENCES transfers ON DELETE CASCADE,
  -- From 1.
  number      INTEGER NOT NULL,
  size        INTEGER NOT NULL,
  -- SHA-256 of the encrypted chunk.
  digest      BLOB,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'done')), offset INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (transfer_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX chunks_pending ON chunks (transfer_id, number) WHERE state = 'pending';

CREATE TABLE events (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  at          INTEGER NOT NULL,
  type        TEXT NOT NULL,
  transfer_id TEXT,
  -- JSON
  data        TEXT NOT NULL
, token_id INTEGER) STRICT;

CREATE INDEX events_by_time ON events (at);

CREATE INDEX events_by_transfer ON events (transfer_id, seq) WHERE transfer_id IS NOT NULL;

CREATE TABLE receives (
  transfer_id     TEXT PRIMARY KEY REFERENCES transfers ON DELETE CASCADE,
  -- YAML of the description as given; that of a redirect's file once it was followed.
  description     TEXT NOT NULL,
  redirected      TEXT,
  directory       TEXT NOT NULL,
  wanted_name     TEXT,
  on_conflict     TEXT NOT NULL CHECK (on_conflict IN ('rename', 'overwrite', 'fail')),
  acknowledge     INTEGER NOT NULL DEFAULT 0,
  approve_relays  TEXT NOT NULL CHECK (approve_relays IN ('known', 'all', 'ask')),
  part_path       TEXT,
  -- The decrypted bytes in front of the content: length and header.
  prefix          BLOB,
  -- Whether the part file was verified as a whole and is on disk; then the path that it is about to get.
  verified        INTEGER NOT NULL DEFAULT 0,
  final_path      TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE recipients (
  replica_id  INTEGER NOT NULL REFERENCES replicas ON DELETE CASCADE,
  -- From 1; the same number in every chunk is one recipient.
  number      INTEGER NOT NULL,
  -- NULL until the relay gave it.
  access_id   BLOB,
  access_key  BLOB NOT NULL,
  PRIMARY KEY (replica_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE relay_tasks (
  id          INTEGER PRIMARY KEY,
  action      TEXT NOT NULL CHECK (action IN ('delete', 'acknowledge')),
  transfer_id TEXT,
  server      TEXT NOT NULL,
  access_id   BLOB NOT NULL,
  access_key  BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  deadline    INTEGER NOT NULL,
  tries       INTEGER NOT NULL DEFAULT 0, owner TEXT, isolation TEXT CHECK (isolation IN ('server', 'transfer', 'chunk')),
  UNIQUE (action, server, access_id)
) STRICT;

CREATE INDEX relay_tasks_by_server ON relay_tasks (server, id);

CREATE INDEX relay_tasks_by_transfer ON relay_tasks (transfer_id);

CREATE TABLE replicas (
  id          INTEGER PRIMARY KEY,
  transfer_id TEXT NOT NULL,
  chunk       INTEGER NOT NULL,
  -- xftp://… without password
  server      TEXT NOT NULL,
  -- Send: 'registering' is written before the relay is asked, with the keys; 'uploaded' when it has the bytes.
  -- Receive: 'usable' until it is known to be 'bad' (gone, corrupt).
  state       TEXT NOT NULL CHECK (state IN ('registering', 'registered', 'uploaded', 'usable', 'bad')),
  -- Sender's or recipient's ID and key (PKCS8).
  access_id   BLOB,
  access_key  BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  FOREIGN KEY (transfer_id, chunk) REFERENCES chunks ON DELETE CASCADE
) STRICT;

CREATE INDEX replicas_by_chunk ON replicas (transfer_id, chunk);

CREATE TABLE sends (
  transfer_id      TEXT PRIMARY KEY REFERENCES transfers ON DELETE CASCADE,
  snapshot_path    TEXT,
  -- Size and time of change of what is read, to notice that it changed.
  source_size      INTEGER,
  source_mtime_ms  INTEGER,
  -- Recipients handed out, and those there are keys for.
  handed_out       INTEGER NOT NULL,
  recipients       INTEGER NOT NULL,
  -- JSON array of server addresses to choose from; NULL for the enabled servers.
  servers          TEXT,
  redirect         TEXT NOT NULL CHECK (redirect IN ('auto', 'never', 'always')),
  -- Poly1305 tag of the whole file, the end of its last chunk.
  tag              BLOB,
  -- Set for a stored description: the send whose description it is, and for which of its recipients. Clients do not
  -- see such a transfer.
  redirect_of        TEXT REFERENCES transfers ON DELETE CASCADE,
  redirect_recipient INTEGER,
  revoked_at         INTEGER,
  -- Chunks that relays have deleted since, and those that they could not be told to.
  chunks_deleted     INTEGER NOT NULL DEFAULT 0,
  deletions_failed   INTEGER NOT NULL DEFAULT 0
, replicas INTEGER NOT NULL DEFAULT 1, replicas_required INTEGER NOT NULL DEFAULT 1, replicating INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sends_by_redirect ON sends (redirect_of, redirect_recipient) WHERE redirect_of IS NOT NULL;

CREATE INDEX sends_replicating ON sends (transfer_id) WHERE replicating = 1;

CREATE TABLE server_failures (
  address TEXT NOT NULL,
  kind    TEXT NOT NULL,
  count   INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (address, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE server_stats (
  address        TEXT NOT NULL,
  -- What was asked: create, upload, download, delete, acknowledge
  action         TEXT NOT NULL,
  attempts       INTEGER NOT NULL DEFAULT 0,
  successes      INTEGER NOT NULL DEFAULT 0,
  bytes          INTEGER NOT NULL DEFAULT 0,
  -- Sum over the successes, for the mean.
  round_trip_ms  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (address, action)
) STRICT, WITHOUT ROWID;

CREATE TABLE servers (
  id         INTEGER PRIMARY KEY,
  -- xftp://… without password
  address    TEXT NOT NULL UNIQUE,
  password   TEXT,
  enabled    INTEGER NOT NULL DEFAULT 1,
  operator   TEXT,
  created_at INTEGER NOT NULL
, sends INTEGER NOT NULL DEFAULT 1, approved INTEGER NOT NULL DEFAULT 1, priority INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  -- JSON
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,
  -- SHA-256 of the token; the token itself is not kept.
  digest     BLOB NOT NULL UNIQUE,
  scope      TEXT NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),
  -- JSON array of absolute folders; NULL for all.
  folders    TEXT,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE transfers (
  id             TEXT PRIMARY KEY,
  direction      TEXT NOT NULL CHECK (direction IN ('send', 'receive')),
  state          TEXT NOT NULL CHECK (state IN ('queued', 'preparing', 'uploading', 'awaiting_approval', 'downloading',
                 'verifying', 'waiting', 'paused', 'failed', 'cancelled', 'completed')),
  waiting_reason TEXT CHECK (waiting_reason IN ('offline', 'relay', 'disk')),
  -- Who asked: a token. Their own name for it is unique among theirs.
  token_id       INTEGER NOT NULL,
  client_ref     TEXT,
  priority       INTEGER NOT NULL DEFAULT 0,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  finished_at    INTEGER,
  deadline       INTEGER NOT NULL,
  expires_at     INTEGER,
  -- Counts the starts: the first one is 1, each retry adds one.
  run            INTEGER NOT NULL DEFAULT 1,
  -- JSON of the failure that ended it.
  failure        TEXT,
  file_name      TEXT,
  -- Bytes of the file, and of its encrypted form.
  file_size      INTEGER,
  encrypted_size INTEGER,
  file_key       BLOB,
  file_nonce     BLOB,
  -- SHA-512 of the encrypted file.
  file_digest    BLOB,
  -- Send: the caller's file, and the copy that is sent in its place. Receive: where the file is in the end.
  path           TEXT,
  chunks_total   INTEGER NOT NULL DEFAULT 0,
  chunks_done    INTEGER NOT NULL DEFAULT 0,
  bytes_done     INTEGER NOT NULL DEFAULT 0,
  -- Not shown to clients: a stored description, part of another transfer.
  hidden         INTEGER NOT NULL DEFAULT 0, folders TEXT, isolation TEXT CHECK (isolation IN ('server', 'transfer', 'chunk')), byte_limit INTEGER,
  UNIQUE (token_id, client_ref)
) STRICT, WITHOUT ROWID;

CREATE INDEX transfers_by_state ON transfers (state, priority DESC, created_at);

CREATE INDEX transfers_by_time ON transfers (created_at DESC, id DESC) WHERE hidden = 0;
