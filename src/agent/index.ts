export { type AgentOptions, openAgent, type RunningAgent } from './agent.js';
export type * from './agent-api.js';
export { type Clock, SYSTEM_CLOCK } from './clock.js';
export { confinePath } from './folder-bounds.js';
export { failureHint } from './failure-policy.js';
export { MAX_RECIPIENTS } from './intake.js';
export type * from './model.js';
export { DEFAULT_SETTINGS } from './settings-store.js';
export { TRANSFER_STATES } from './transfer-states.js';
