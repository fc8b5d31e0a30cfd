export type {
  AgentEvent,
  AgentInfo,
  DescriptionsResult,
  DurableEvent,
  FailureInfo,
  InspectResult,
  ProgressEvent,
  ServerInfo,
  ServerStats,
  ServerTestResult,
  Settings,
  TokenInfo,
  TransferInfo,
  TransferState,
} from '../agent/index.js';
export type { Report } from './dispatcher.js';
export { ENDPOINT_FILE } from './endpoint-file.js';
export { RPC_LIMITS, type RpcLimits } from './limits.js';
export type { Caller, Method } from './method.js';
export {
  METHOD_NAMES,
  type MethodName,
  type MethodParams,
  type MethodResult,
  METHODS,
} from './method-table.js';
export { openRpcDocument } from './openrpc-document.js';
export { type RpcServer, type RpcServerOptions, startRpcServer } from './rpc-server.js';
