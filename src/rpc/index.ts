export type { AgentEvent, DurableEvent, ProgressEvent } from '../agent/index.js';
export type { Caller, Method } from './method.js';
export {
  METHOD_NAMES,
  type MethodName,
  type MethodParams,
  type MethodResult,
  METHODS,
} from './method-table.js';
