export type * from './agent-api.js';
export type * from './model.js';
