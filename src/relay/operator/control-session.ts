import { type BlockingInfo, decodeBase64Url, parseBlockingInfo } from '../../protocol/index.js';
import { constantTimeEqual, sha256 } from '../../crypto/index.js';
import type { ProcessUse } from '../process-use.js';

/** What each role of the control port must know; a role without a password cannot be had. Secrets. */
export interface ControlPasswords {
  readonly admin: string | undefined;
  readonly user: string | undefined;
}

/** What can be done from the control port. Outcomes are `ok` or `error: …`. */
export interface ControlActions {
  /** Removes the chunk of a recipient ID. */
  readonly remove: (recipientId: Uint8Array) => Promise<string>;
  /** Blocks it. */
  readonly block: (recipientId: Uint8Array, info: BlockingInfo) => Promise<string>;
  /** All metrics, as the metrics port gives them. */
  readonly metrics: () => Promise<string>;
  /** What all processes of the relay have used up. */
  readonly use: () => Promise<ProcessUse>;
}

type Role = 'CPRNone' | 'CPRUser' | 'CPRAdmin';

/** What the first thing is that a client reads (protocol reference, section 11.6). */
export const GREETING = "XFTP server control port\n'help' for supported commands\n";

/** Wrong passwords after which a connection ends: guessing must cost something. */
const MAX_WRONG_PASSWORDS = 10;

const UNKNOWN_COMMAND = 'error: Failed reading: bad ControlProtocol command';

/** One conversation at the control port (protocol reference, section 11.6, and the recorded conversation). */
export class ControlSession {
  readonly #passwords: ControlPasswords;
  readonly #actions: ControlActions;
  #role: Role = 'CPRNone';
  #wrongPasswords = 0;

  constructor(passwords: ControlPasswords, actions: ControlActions) {
    this.#passwords = passwords;
    this.#actions = actions;
  }

  /** Carries out a line, which has no line end: the reply, '' for none, undefined to end. */
  async answer(line: string): Promise<string | undefined> {
    const [word, ...words] = line.split(' ');
    const argument = words.join(' ');
    switch (word) {
      case '':
        return words.length === 0 ? '' : UNKNOWN_COMMAND;
      case 'auth':
        return this.#authenticate(argument);
      case 'stats-rts':
        return runtimeStatistics(await this.#actions.use());
      case 'stats':
        return this.#role === 'CPRNone' ? 'AUTH' : samples(await this.#actions.metrics());
      case 'delete':
        return await this.#remove(words);
      case 'block':
        return await this.#block(words);
      case 'help':
        return 'commands: stats-rts, delete, help, quit';
      case 'quit':
        return undefined;
      default:
        return UNKNOWN_COMMAND;
    }
  }

  /** "Once a role is set it cannot change." */
  #authenticate(password: string): string | undefined {
    const role = roleOf(password, this.#passwords);
    if (this.#role === 'CPRNone') this.#role = role;
    if (role === 'CPRNone' && ++this.#wrongPasswords > MAX_WRONG_PASSWORDS) return undefined;
    const differs = role !== this.#role;
    return `Current role is ${this.#role}${differs ? ', start new session to change.' : ''}`;
  }

  async #remove([id, ...more]: readonly string[]): Promise<string> {
    const recipientId = readId(id);
    if (recipientId === undefined || more.length > 0) return UNKNOWN_COMMAND;
    return this.#role === 'CPRNone' ? 'AUTH' : await this.#actions.remove(recipientId);
  }

  async #block([id, ...info]: readonly string[]): Promise<string> {
    const recipientId = readId(id);
    // The notice is JSON and may hold blanks.
    const blocking = readBlockingInfo(info.join(' '));
    if (recipientId === undefined || blocking === undefined) return UNKNOWN_COMMAND;
    return this.#role === 'CPRNone' ? 'AUTH' : await this.#actions.block(recipientId, blocking);
  }
}

/** Takes as long whatever the passwords are: digests have equal lengths, and both are compared. */
function roleOf(password: string, { admin, user }: ControlPasswords): Role {
  const digest = sha256(Buffer.from(password));
  const equals = (expected: string | undefined): boolean =>
    constantTimeEqual(digest, sha256(Buffer.from(expected ?? ''))) && expected !== undefined;
  const isAdmin = equals(admin);
  const isUser = equals(user);
  if (isAdmin) return 'CPRAdmin';
  return isUser ? 'CPRUser' : 'CPRNone';
}

function readId(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return decodeBase64Url(text);
  } catch {
    return undefined;
  }
}

function readBlockingInfo(text: string): BlockingInfo | undefined {
  try {
    return parseBlockingInfo(text);
  } catch {
    return undefined;
  }
}

/** Without the comments of the metrics. */
function samples(metrics: string): string {
  return metrics
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .join('\n');
}

function runtimeStatistics({ memory, heap, heapInUse, external, user, system }: ProcessUse): string {
  return Object.entries({
    'uptime (s)': Math.floor(process.uptime()),
    'memory (bytes)': memory,
    'heap (bytes)': heap,
    'heap in use (bytes)': heapInUse,
    'memory outside of the heap (bytes)': external,
    'CPU time of the program (ms)': Math.floor(user / 1000),
    'CPU time of the system (ms)': Math.floor(system / 1000),
  })
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join('\n');
}
