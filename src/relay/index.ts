export {
  type InactiveClients,
  loadRelayConfig,
  notInitialized,
  parseRelayConfig,
  type RelayConfig,
} from './config.js';
export {
  createCredentials,
  type CredentialAdvice,
  readCredentials,
  type RelayCredentials,
  renewOnlineCertificate,
  writeCredentials,
} from './credentials.js';
export { relayFiles, type RelayFolders, relayFolders } from './folders.js';
export { deleteRelay, type InitializedRelay, type InitOptions, initRelay, requireRelay } from './init.js';
export type { BodyReader, BodyStorage, BodyWriter, ListedBody } from './body-storage.js';
export type { NetworkConfig, WebConfig } from './network-config.js';
export { DEFAULT_LIMITS, type RelayLimits } from './limits.js';
export { type CheckFinding, type CheckReport, checkRelay } from './check/check-relay.js';
export { askRelay, type RelayStatus } from './operator/relay-status.js';
export { storedFiles } from './operator/stored-files.js';
export type { OperatorOptions } from './operator/operator-side.js';
export { parseSizeOption } from './size-option.js';
export { formatRelayAddress, type RunningRelay, startRelay } from './relay.js';
export type { RelayOptions, WebOptions } from './relay-options.js';
export { readWebCertificate, type WebCertificate } from './web/web-certificate.js';
