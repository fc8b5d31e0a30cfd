import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { onTestFinished } from 'vitest';
import WebSocket from 'ws';

import { temporaryFolder } from '../support/temporary-folder.js';

const PROGRAM = 'chromium';

/** Whether Debian's `chromium` package, or another with a program of that name, is there. */
export function hasChromium(): boolean {
  return spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** A page in a headless browser. */
export interface BrowserPage {
  /** The value of an expression, or of the promise that it gives; rejects with what the page throws. */
  readonly evaluate: (expression: string) => Promise<unknown>;
}

/** What the browser says over its debugging connection, as far as it is read here. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly error?: unknown;
  readonly result?: {
    readonly targetId?: string;
    readonly sessionId?: string;
    readonly result?: { readonly value?: unknown };
    readonly exceptionDetails?: unknown;
  };
}

/** Opens a page in a browser of its own, which ends with the test. Certificates need no known authority. */
export async function openPage(url: string): Promise<BrowserPage> {
  const child = spawn(
    PROGRAM,
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--ignore-certificate-errors',
      '--remote-debugging-port=0',
      `--user-data-dir=${await temporaryFolder()}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const socket = new WebSocket(await debuggingUrl(child.stderr));
  await once(socket, 'open');
  onTestFinished(() => {
    socket.terminate();
  });

  const waiting = new Map<number, (message: Message) => void>();
  const loaded = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Message;
      if (message.id !== undefined) waiting.get(message.id)?.(message);
      else if (message.method === 'Page.loadEventFired') resolve();
    });
  });
  let calls = 0;
  const call = async (
    method: string,
    params: object,
    sessionId?: string,
  ): Promise<NonNullable<Message['result']>> => {
    const id = ++calls;
    const answer = new Promise<Message>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    const { result, error } = await answer;
    if (result === undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  };

  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
  await call('Page.enable', {}, sessionId);
  await call('Page.navigate', { url }, sessionId);
  await loaded;
  return {
    evaluate: async (expression) => {
      const options = { expression, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await call('Runtime.evaluate', options, sessionId);
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
      return result?.value;
    },
  };
}

async function debuggingUrl(output: NodeJS.ReadableStream): Promise<string> {
  const said: string[] = [];
  for await (const line of createInterface({ input: output })) {
    said.push(line);
    const url = /^DevTools listening on (\S+)/.exec(line)?.[1];
    // What it says later goes nowhere, so that it never waits for a reader.
    if (url !== undefined) return (output.resume(), url);
  }
  throw new Error(`Chromium did not start: ${said.join('\n')}`);
}
