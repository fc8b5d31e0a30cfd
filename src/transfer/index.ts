export type { DownloadedChunk } from './chunk-box.js';
export type { ChunkMemory } from './chunk-memory.js';
export { CipherPool } from './cipher-pool.js';
export type { SentFile } from './describe-file.js';
export { discardFile } from './discard-chunks.js';
export type { EncryptedFile } from './encrypted-file.js';
export { safeFileName } from './file-name.js';
export type { FilePrefix } from './file-prefix.js';
export { type FinishContext, finishPart, type PartToFinish } from './finish-part.js';
export { checkRoom, ensureFolder, makeUniqueFolder } from './folder.js';
export { localFailure } from './local-failure.js';
export { discardPart, fileIdentity, isFile } from './place-file.js';
export { acknowledgeFile, deleteFile } from './manage-file.js';
export { pathOfOpened } from './opened-path.js';
export { type Destination, PartFile } from './part-file.js';
export {
  type PrepareContext,
  type PreparedSource,
  prepareSource,
  type SealedChunk,
  sealChunk,
  type SourcePlan,
} from './prepare-source.js';
export { type ChunkToOpen, type FirstChunkToOpen, openChunk, openFirstChunk } from './receive-chunk.js';
export { followRedirect } from './receive-description.js';
export { checkReceivable, receiveFile, type ReceivedFile, type ReceiveRequest } from './receive-file.js';
export { checkReplicaCounts, MAX_REPLICAS, type ReplicaCounts } from './replica-counts.js';
export type { SealRequest } from './seal-stream.js';
export { sendFile, type SendRequest } from './send-file.js';
export { noneCouldGive, severalFailures } from './several-failures.js';
export { type SnapshotOptions, snapshotSource } from './snapshot-source.js';
export { TaskGroup } from './task-group.js';
export type { TransferContext, TransferProgress } from './transfer-context.js';
export { isCut } from './upload-width.js';
export { type VerifyContext, verifyPart } from './verify-part.js';
export type { VerifyRequest } from './verify-stream.js';
