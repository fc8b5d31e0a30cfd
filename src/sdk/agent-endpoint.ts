import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import envPaths from 'env-paths';

import { XftpError } from '../protocol/index.js';
import { errorCode, isSameProcess } from '../system/index.js';

import type { AgentEndpoint } from './client-interface.js';

/** Names the data folder instead of the place that the system has for such folders. */
const DATA_DIR_VARIABLE = 'XFTP_AGENT_DATA_DIR';
/** Files of the data folder: where the agent listens, and the token of the user. */
const ENDPOINT_FILE = 'rpc.json';
const TOKEN_FILE = 'token';

/** What a person can do when no agent answers. */
export const START_HINT = 'Start it with `xftp-agent start`.';

/** The data folder of the user's agent. */
export function defaultDataDir(): string {
  const named = process.env[DATA_DIR_VARIABLE];
  return named === undefined || named === '' ? envPaths('xftp-agent', { suffix: '' }).data : named;
}

/**
 * Where the agent of a data folder listens, and its token; the user's data folder unless given. An agent that was
 * killed leaves its address behind, where any program may listen by now: it is not given out.
 *
 * @throws XftpError AGENT_UNREACHABLE when no agent runs there, NO_PERMISSION when it is somebody else's.
 */
export async function findAgent(dataDir = defaultDataDir()): Promise<AgentEndpoint> {
  const [description, token] = await Promise.all([
    read(join(dataDir, ENDPOINT_FILE)),
    read(join(dataDir, TOKEN_FILE)),
  ]);
  const { pid, mark, ...endpoint } = readEndpoint(description);
  if (pid === undefined || !(await isSameProcess(pid, mark)))
    throw new XftpError(
      'AGENT_UNREACHABLE',
      `No agent is running: the one that wrote ${join(dataDir, ENDPOINT_FILE)} has ended.`,
      { hint: START_HINT },
    );
  return { ...endpoint, token: token.trim() };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'EACCES' || code === 'EPERM')
      throw new XftpError('NO_PERMISSION', `This user may not read ${path}.`, { cause });
    throw new XftpError('AGENT_UNREACHABLE', `No agent is running: there is no ${path}.`, {
      cause,
      hint: START_HINT,
    });
  }
}

/** What the file says, and which process wrote it. */
interface WrittenEndpoint extends Pick<AgentEndpoint, 'url' | 'socketPath'> {
  readonly pid?: number;
  readonly mark?: string;
}

function readEndpoint(text: string): WrittenEndpoint {
  const value = parse(text);
  const url = 'url' in value && typeof value.url === 'string' ? { url: value.url } : {};
  const socket = 'socket' in value && typeof value.socket === 'string' ? { socketPath: value.socket } : {};
  // 0 and negative numbers mean groups of processes.
  const pid = 'pid' in value && typeof value.pid === 'number' && value.pid > 0 ? { pid: value.pid } : {};
  const mark = 'process' in value && typeof value.process === 'string' ? { mark: value.process } : {};
  return { ...url, ...socket, ...pid, ...mark };
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
