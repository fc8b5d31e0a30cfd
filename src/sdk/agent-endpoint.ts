import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import envPaths from 'env-paths';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

import type { AgentEndpoint } from './client-interface.js';

/** Names the data folder instead of the place that the system has for such folders. */
const DATA_DIR_VARIABLE = 'XFTP_AGENT_DATA_DIR';
/** Files of the data folder: where the agent listens, and the token of the user. */
const ENDPOINT_FILE = 'rpc.json';
const TOKEN_FILE = 'token';

/** The data folder of the user's agent. */
export function defaultDataDir(): string {
  const named = process.env[DATA_DIR_VARIABLE];
  return named === undefined || named === '' ? envPaths('xftp-agent', { suffix: '' }).data : named;
}

/**
 * Where the agent of a data folder listens, and its token; the user's data folder unless given.
 *
 * @throws XftpError AGENT_UNREACHABLE when no agent runs there, NO_PERMISSION when it is somebody else's.
 */
export async function findAgent(dataDir = defaultDataDir()): Promise<AgentEndpoint> {
  const [description, token] = await Promise.all([
    read(join(dataDir, ENDPOINT_FILE)),
    read(join(dataDir, TOKEN_FILE)),
  ]);
  return { ...readEndpoint(description), token: token.trim() };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'EACCES' || code === 'EPERM')
      throw new XftpError('NO_PERMISSION', `This user may not read ${path}.`, { cause });
    throw new XftpError('AGENT_UNREACHABLE', `No agent is running: there is no ${path}.`, { cause });
  }
}

function readEndpoint(text: string): Pick<AgentEndpoint, 'url' | 'socketPath'> {
  const value = parse(text);
  const url = 'url' in value && typeof value.url === 'string' ? { url: value.url } : {};
  const socket = 'socket' in value && typeof value.socket === 'string' ? { socketPath: value.socket } : {};
  return { ...url, ...socket };
}

function parse(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Falls through to the same failure.
  }
  throw new XftpError('AGENT_UNREACHABLE', `The file ${ENDPOINT_FILE} of the agent cannot be read.`);
}
