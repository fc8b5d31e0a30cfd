export { connectAgent } from './agent-client.js';
export { defaultDataDir, findAgent } from './agent-endpoint.js';
export type * from './client-interface.js';
export { isXftpError, XftpError } from '../protocol/index.js';
export type {
  AgentEvent,
  AgentInfo,
  DescriptionsResult,
  DurableEvent,
  FailureInfo,
  InspectResult,
  MethodName,
  MethodParams,
  MethodResult,
  ProgressEvent,
  ServerInfo,
  ServerStats,
  ServerTestResult,
  Settings,
  TokenInfo,
  TransferInfo,
  TransferState,
} from '../rpc/index.js';
