export {
  type CallOptions,
  type ChunkIds,
  DOWNLOAD_TAG_LENGTH,
  type DownloadBox,
  type NewChunk,
  pingSession,
  type RegisterOptions,
  RelayClient,
  type ReplicaAccess,
} from './relay-client.js';
