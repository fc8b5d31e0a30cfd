import { Agent, type AgentOptions, type RunningAgent } from './agent.js';
import { DataFolder } from './data-folder.js';
import { Database } from './database.js';
import { openingFailure } from './database-failure.js';
import { migrate } from './migrations.js';

/**
 * Opens the data folder and goes on with the transfers in it.
 *
 * @throws XftpError ALREADY_RUNNING, DATABASE_UNUSABLE, INVALID_ADDRESS, NO_PERMISSION and the like
 */
export async function openAgent(options: AgentOptions): Promise<RunningAgent> {
  const folder = new DataFolder(options.dataDir);
  const agent = makeAgent(options, folder);
  try {
    await agent.start();
    return agent;
  } catch (error) {
    await agent.stop();
    throw openingFailure(error, folder.database);
  }
}

function makeAgent(options: AgentOptions, folder: DataFolder): Agent {
  let database: Database | undefined;
  try {
    database = new Database(folder.database);
    database.check();
    return new Agent(options, folder, database, migrate(database));
  } catch (error) {
    database?.close();
    folder.unlock();
    throw openingFailure(error, folder.database);
  }
}
