import { XftpError } from '../protocol/index.js';

import type { AgentClient, AgentEndpoint, ConnectOptions } from './client-interface.js';

/**
 * Where the agent of a data folder listens, and its token; the user's data folder unless given.
 *
 * @throws XftpError AGENT_UNREACHABLE when no agent runs there.
 */
export function findAgent(_dataDir?: string): Promise<AgentEndpoint> {
  return Promise.reject(new XftpError('AGENT_UNREACHABLE', 'Not there yet.'));
}

/**
 * Connects to an agent.
 *
 * @throws XftpError AGENT_UNREACHABLE, UNAUTHENTICATED or FORBIDDEN.
 */
export function connectAgent(_options: ConnectOptions = {}): Promise<AgentClient> {
  return Promise.reject(new XftpError('AGENT_UNREACHABLE', 'Not there yet.'));
}
