import { join, resolve } from 'node:path';

import envPaths from 'env-paths';

import { homeFolder } from './home-folder.js';

const WAY_OUT = 'name the folders by options';

/** Where the agent keeps its things unless told otherwise, as the platform has it. All absolute. */
export interface AgentFolders {
  /** Database, keys, tokens. */
  readonly data: string;
  /** Received files. */
  readonly downloads: string;
  /** The configuration file, which need not exist. */
  readonly config: string;
}

/** @throws XftpError INVALID_ARGUMENT when this user's home folder is not known */
export function defaultFolders(): AgentFolders {
  const { data, config } = envPaths('xftp-agent', { suffix: '' });
  return {
    data: resolve(data),
    downloads: join(homeFolder(WAY_OUT), 'Downloads'),
    config: join(resolve(config), 'config.toml'),
  };
}

/**
 * A path from the environment or a configuration file, where no shell has replaced `~`.
 *
 * @param base what a relative path begins at
 */
export function pathFrom(text: string, base: string): string {
  return /^~[/\\]/.test(text) ? join(homeFolder(WAY_OUT), text.slice(2)) : resolve(base, text);
}
