export { connectAgent, findAgent } from './agent-client.js';
export type * from './client-interface.js';
