import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import { readCredentials } from '#src/relay/index.js';

import { asRecipient, asSender, errorText, type RawChunk } from '../support/raw-client.js';
import { recordedRelay } from '../support/recorded-relay.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

const PASSWORDS = { admin: 'admin-pass', user: 'user-pass' };
const GREETING = ['XFTP server control port', "'help' for supported commands"];

/** A conversation, line by line. */
class Talk {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = linesOf(socket);
  }

  static async with(relay: TestRelay): Promise<Talk> {
    const socket = connect(relay.controlPort!, '127.0.0.1');
    onTestFinished(() => {
      socket.destroy();
    });
    await once(socket, 'connect');
    return new Talk(socket);
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** The next line; undefined at the end. */
  async line(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  /** Says that nothing more is sent; replies are still read. */
  end(text = ''): void {
    this.#socket.end(text);
  }

  async ask(line: string): Promise<string | undefined> {
    this.send(`${line}\n`);
    return await this.line();
  }

  async greeted(): Promise<this> {
    expect([await this.line(), await this.line()]).toEqual(GREETING);
    return this;
  }
}

async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let rest = '';
  try {
    for await (const piece of socket.setEncoding('utf8')) {
      const lines = (rest + String(piece)).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
  } catch {
    // The relay closed with something unread.
  }
}

async function relayWithControl(): Promise<{ relay: TestRelay; chunk: RawChunk; id: string }> {
  const relay = await testRelay({ operator: { controlPort: 0, controlPasswords: PASSWORDS } });
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  expect(await client.put(chunk)).toBe('OK');
  return { relay, chunk, id: encodeBase64Url(chunk.recipientId) };
}

describe('the control port', () => {
  it('answers the recorded conversation word for word', async () => {
    const { home, storeLogPath, filesPath } = await recordedRelay();
    // As it was before the conversation, which blocked a chunk.
    const log = await readFile(storeLogPath, 'utf8');
    await writeFile(storeLogPath, log.replace(/^FBLK .*\n/m, ''));
    const relay = await testRelay({
      credentials: await readCredentials({ config: join(home, 'etc'), log: join(home, 'var') }),
      filesPath,
      storeLogPath,
      chunkLifeSeconds: 100 * 365 * 86_400,
      operator: { controlPort: 0, controlPasswords: PASSWORDS },
    });
    const talk = await Talk.with(relay);
    const conversation = (await readFile('test/vectors/control-port.txt', 'utf8')).trimEnd().split('\n');
    for (const line of conversation) {
      if (line.startsWith('< ')) expect(await talk.line()).toBe(line.slice(2));
      else if (line.startsWith('> ')) talk.send(`${line.slice(2)}\n`);
      else expect(line).toBe('(no reply)');
    }
    expect(await talk.line()).toBeUndefined();
    expect(await readFile(storeLogPath, 'utf8')).toMatch(
      /^FBLK bfGr8pfjDt-Q5hkL7gTX_Q== reason=spam,notice=\{"ttl":3600\}\n$/m,
    );
  });

  it('needs a role for delete, block and stats, which either password gives', async () => {
    const { relay, chunk, id } = await relayWithControl();
    const stranger = await (await Talk.with(relay)).greeted();
    for (const line of [`delete ${id}`, `block ${id} reason=spam`, 'stats'])
      expect(await stranger.ask(line)).toBe('AUTH');
    const user = await (await Talk.with(relay)).greeted();
    expect(await user.ask('auth user-pass\r')).toBe('Current role is CPRUser');
    expect(await user.ask('auth wrong')).toBe('Current role is CPRUser, start new session to change.');
    const admin = await (await Talk.with(relay)).greeted();
    expect(await admin.ask('auth admin-pass')).toBe('Current role is CPRAdmin');
    expect(await admin.ask('stats')).toBe('simplex_xftp_files_created 1');
    expect(await user.ask(`delete ${id}`)).toBe('ok');
    expect(await user.ask(`delete ${id}`)).toBe('error: AUTH');
    expect(relay.usedBytes()).toBe(0);
    expect(await (await relay.client()).get(chunk)).toBe('AUTH');
    expect((await relay.figures()).statistics.counts.filesDeleted).toBe(1);
  });

  it('carries out what was sent before the client ended, with or without a line feed behind the last line', async () => {
    const { relay, id } = await relayWithControl();
    const whole = await (await Talk.with(relay)).greeted();
    whole.end('auth user-pass\nstats-rts\nstats\n');
    expect(await whole.line()).toBe('Current role is CPRUser');
    expect(await whole.line()).toMatch(/^uptime/);
    let last: string | undefined;
    for (let line = await whole.line(); line !== undefined; line = await whole.line()) last = line;
    expect(last).toContain('simplex_xftp_info{');
    const torn = await (await Talk.with(relay)).greeted();
    torn.end(`auth admin-pass\r\ndelete ${id}`);
    expect([await torn.line(), await torn.line(), await torn.line()]).toEqual([
      'Current role is CPRAdmin',
      'ok',
      undefined,
    ]);
    expect(relay.usedBytes()).toBe(0);
    const quitting = await (await Talk.with(relay)).greeted();
    quitting.end('help\nquit');
    expect([await quitting.line(), await quitting.line()]).toEqual([
      'commands: stats-rts, delete, help, quit',
      undefined,
    ]);
    const silent = await (await Talk.with(relay)).greeted();
    silent.end();
    expect(await silent.line()).toBeUndefined();
  });

  it('gives nobody a role when there is no password', async () => {
    const relay = await testRelay({ operator: { controlPort: 0 } });
    const talk = await (await Talk.with(relay)).greeted();
    expect(await talk.ask('auth ')).toBe('Current role is CPRNone');
    expect(await talk.ask('auth undefined')).toBe('Current role is CPRNone');
    expect(await talk.ask('stats')).toBe('AUTH');
    expect(await talk.ask('stats-rts')).toMatch(/^uptime \(s\): \d+$/);
  });

  it('does not take what is no command', async () => {
    const { relay, id } = await relayWithControl();
    const talk = await (await Talk.with(relay)).greeted();
    await talk.ask('auth admin-pass');
    for (const line of [
      'delete',
      'delete ***',
      `delete ${id} now`,
      `block ${id}`,
      `block ${id} reason=boredom`,
      `block ${id} reason=spam,notice={`,
      ' ',
      'HELP',
    ])
      expect(await talk.ask(line)).toBe('error: Failed reading: bad ControlProtocol command');
  });

  it('ends a conversation with a line too long, or with too many wrong passwords', async () => {
    const { relay } = await relayWithControl();
    const long = await (await Talk.with(relay)).greeted();
    long.send('x'.repeat(100_000));
    expect(await long.line()).toBeUndefined();
    const guessing = await (await Talk.with(relay)).greeted();
    for (let guess = 0; guess < 10; guess++)
      expect(await guessing.ask(`auth ${String(guess)}`)).toBe('Current role is CPRNone');
    expect(await guessing.ask('auth admin-pass-not')).toBeUndefined();
  });
});

describe('a blocked chunk', () => {
  it('is BLOCKED with reason and notice for version 3 and AUTH before, for every command, also after a restart', async () => {
    const { relay, chunk, id } = await relayWithControl();
    const talk = await (await Talk.with(relay)).greeted();
    await talk.ask('auth user-pass');
    expect(await talk.ask(`block ${id} reason=content,notice={"ttl": 60}`)).toBe('ok');
    expect(relay.usedBytes()).toBe(0);
    const blocked = 'BLOCKED reason=content,notice={"ttl":60}';
    const expectBlocked = async (each: TestRelay): Promise<void> => {
      for (const [version, answer] of [
        [3, blocked],
        [2, 'AUTH'],
        [1, 'AUTH'],
      ] as const) {
        const client = await each.client(version);
        expect(await client.get(chunk)).toBe(answer);
        const others = [
          await client.command({ type: 'FACK' }, asRecipient(chunk)),
          await client.command({ type: 'FDEL' }, asSender(chunk)),
          // Without a key: the status comes before the signature.
          await client.command(
            { type: 'FDEL' },
            { entityId: chunk.senderId, authorization: Buffer.alloc(64) },
          ),
        ];
        expect(others.map(({ response }) => errorText(response))).toEqual([answer, answer, answer]);
      }
    };
    await expectBlocked(relay);
    const again = await relay.restart();
    expect(again.problems).toEqual([]);
    await expectBlocked(again);
  });

  it('may be blocked again for another reason, and deleted by the operator', async () => {
    const { relay, chunk, id } = await relayWithControl();
    const talk = await (await Talk.with(relay)).greeted();
    await talk.ask('auth admin-pass');
    expect(await talk.ask(`block ${id} reason=content`)).toBe('ok');
    expect(await talk.ask(`block ${id} reason=spam`)).toBe('ok');
    expect(await (await relay.client()).get(chunk)).toBe('BLOCKED reason=spam');
    expect(await talk.ask(`delete ${id}`)).toBe('ok');
    expect(await (await relay.client()).get(chunk)).toBe('AUTH');
    expect(relay.usedBytes()).toBe(0);
  });
});
