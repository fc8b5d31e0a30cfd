import { BLOCK_SIZE, MAX_CHUNK_SIZE } from '../protocol/index.js';

/** Limits of one relay on what the network may cost it. Tests shorten the times. */
export interface RelayLimits {
  /** From the accepted socket to the end of the TLS handshake, in ms. */
  readonly tlsHandshakeMs: number;
  /** From the end of the TLS handshake to the end of the protocol's (or the first command without one), in ms. */
  readonly protocolHandshakeMs: number;
  /** From the start of a request to the end of its first block, in ms. */
  readonly blockMs: number;
  /** For each UPLOAD_STEP bytes of an upload, in ms; how long the whole takes does not matter. */
  readonly uploadStallMs: number;
  /** How often a client is told that its upload moves on, in ms. */
  readonly uploadSignMs: number;
  /** Between two pieces of a download that the client takes, in ms. */
  readonly downloadStallMs: number;
  /** The same while other clients wait for a download to end, in ms. */
  readonly crowdedStallMs: number;
  /** How long requests under way may go on after `stop`, in ms. */
  readonly shutdownMs: number;
  /** Connections open at the same time. */
  readonly connections: number;
  /** Connections open at the same time from one address; Infinity for no limit. */
  readonly connectionsPerAddress: number;
  /** Chunks registered from one address and not uploaded yet; Infinity for no limit. */
  readonly registrationsPerAddress: number;
  /** Chunk bodies received at the same time by the whole relay. */
  readonly uploads: number;
  /** Chunk bodies received at the same time on one connection. */
  readonly uploadsPerConnection: number;
  /** Chunks sent at the same time by the whole relay; further downloads wait. */
  readonly downloads: number;
  /** Chunks sent at the same time on one connection. */
  readonly downloadsPerConnection: number;
}

export const DEFAULT_LIMITS: RelayLimits = {
  // As the reference relay (protocol reference, section 1.6): slow links need several round trips.
  tlsHandshakeMs: 60_000,
  // Two more round trips with small bodies; a connection that does nothing must not stay for ever.
  protocolHandshakeMs: 60_000,
  // 16 KiB in a minute is 270 bytes a second, less than the worst Tor circuit carries.
  blockMs: 60_000,
  // 64 KiB in a minute are 1 KiB/s, as for downloads: several uploads over one slow link must fit. An upload holds its
  // size of the quota: who sends next to nothing must give it back.
  uploadStallMs: 60_000,
  // Clients give up when they hear nothing for a minute; on faster links the answer comes before.
  uploadSignMs: 5000,
  // One piece of 256 KiB in two minutes is 2 KiB/s; official clients give up after 50 s in any case.
  downloadStallMs: 120_000,
  // Who waits gives up after 60 s or more. Official clients need 10 times the 9 KiB/s that this asks for.
  crowdedStallMs: 30_000,
  // Long enough for a chunk on an ordinary link, short enough for service managers, which kill after 30 to 90 s.
  shutdownMs: 10_000,
  // Some 105 KiB of memory, half of it Node's for TLS and HTTP/2, and a file descriptor each.
  connections: 20_000,
  // Clients open up to 4; a thousand leave room for a university or a VPN behind one address.
  connectionsPerAddress: 1000,
  // Clients register a file's chunks before they upload them: this many are 40 GB, and cost some 20 MiB of memory.
  registrationsPerAddress: 10_000,
  // Each has a file descriptor and at most STREAM_WINDOW + UPLOAD_QUEUE + UPLOAD_WRITE bytes of memory: 2.25 GiB in all,
  // since those with a wide window count as WIDE_UPLOAD_COST.
  uploads: 1024,
  // Clients send one at a time (section 15.4); this many cost at most 36 MiB of memory, 84 MiB with wide windows.
  uploadsPerConnection: 16,
  // Each has a file descriptor and some 530 KiB of memory.
  downloads: 1024,
  // More than any known client asks for at once; this many cost some 8 MiB of memory.
  downloadsPerConnection: 16,
};

/** Streams a client may have open on one connection: as the reference relay (section 2.5). */
export const MAX_STREAMS = 100;
/**
 * Bytes a client may send on one stream before the relay has read them, as the reference relay (section 2.5):
 * an upload moves so much in a round trip. Node frees the connection's window at once, so this is also the
 * bound on what a stream that is not read holds in memory.
 */
export const STREAM_WINDOW = 1024 * 1024;
/** The same on the connection of a client that has shown that it sends fast: the largest chunk goes in one round trip. */
export const WIDE_STREAM_WINDOW: number = MAX_CHUNK_SIZE + BLOCK_SIZE;
/** As how many uploads one with a wide window counts: so much more memory it may take. */
export const WIDE_UPLOAD_COST = 3;
/** A client sends fast when this much of a body has come, in bytes, ... */
export const WIDEN_AFTER: number = STREAM_WINDOW / 2;
/** ... within this time, in ms. A slower one is not held up by the window, however far away it is. */
export const WIDEN_MS = 1000;
/** Window of a whole connection: several streams at full speed. */
export const CONNECTION_WINDOW = 8 * 1024 * 1024;
/** What Node's HTTP/2 may hold for one connection, in MB: all uploads and downloads that one may have under way. */
export const SESSION_MEMORY_MB = 64;
/** PING frames, SETTINGS frames and resets of streams that a client may send in FRAME_WINDOW_MS. */
export const MAX_IDLE_FRAMES = 300;
/** In ms. The reference relay ends connections for 5 of them in one second (section 2.5). */
export const FRAME_WINDOW_MS = 10_000;
/** Bytes of request headers: the protocol needs about 200, a browser with the cookies of a whole domain thousands. */
export const MAX_HEADER_LIST_SIZE = 16 * 1024;
/** Number of request headers: the protocol needs 6, a browser 18 and one for each cookie. */
export const MAX_HEADER_PAIRS = 128;
/** Frames that break HTTP/2 but may be ignored: a few are bugs, more are an attack. */
export const MAX_INVALID_FRAMES = 100;
/** Bytes of an upload that must come within `uploadStallMs`. */
export const UPLOAD_STEP = 64 * 1024;
/** Bytes of a body that are written at once: few enough calls into the system that they do not count. */
export const UPLOAD_WRITE = 256 * 1024;
/** Bytes of a body that wait for the disk before the relay stops reading: a few writes of full size. */
export const UPLOAD_QUEUE = 1024 * 1024;
/** Bytes of a chunk that are read, encrypted and sent at once: half a ms of the processor, and few enough calls. */
export const DOWNLOAD_PIECE = 256 * 1024;
/**
 * Bytes of the hello that are sent at once: half of it. For a first write of 16 KiB or more Node keeps 32 KiB on a
 * connection as long as it lives, for smaller ones 16 KiB, which is enough for all blocks after it.
 */
export const HELLO_PIECE: number = BLOCK_SIZE / 2;
/**
 * Recipients of one chunk: as many as `xftp send` takes. Each costs some 1 KiB of memory, and a line in the log that
 * every start reads.
 */
export const MAX_RECIPIENTS = 10_000;
/** Connections that wait to be accepted: as the reference relay (section 11.3). */
export const LISTEN_BACKLOG = 1024;
/** Idle time before TCP asks whether the client is still there, in ms. Dead connections end some 10 minutes later. */
export const TCP_KEEP_ALIVE_MS = 120_000;
