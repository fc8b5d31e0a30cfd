export {
  type CallOptions,
  type ChunkIds,
  DOWNLOAD_TAG_LENGTH,
  type DownloadBox,
  type NewChunk,
  RelayClient,
  type ReplicaAccess,
} from './relay-client.js';
