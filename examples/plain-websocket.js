// The agent without the SDK: JSON-RPC 2.0 over a plain WebSocket. For those who write clients in other languages.
//
//   node examples/plain-websocket.js FILE DIRECTORY
//
// Sends FILE, receives it again into DIRECTORY, and shows every message on the way: `-->` to the agent, `<--` from it.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { WebSocket } from 'ws';

const [file, directory] = process.argv.slice(2);
if (file === undefined || directory === undefined) {
  console.error('Usage: node examples/plain-websocket.js FILE DIRECTORY');
  process.exit(2);
}

// 1. Find the agent. Two files in its data folder say where it listens and what the token is; only this user can read
// them. When the agent is not running, there is no rpc.json. (The default folder is that of Linux.)
const dataDir = process.env.XFTP_AGENT_DATA_DIR ?? join(homedir(), '.local/share/xftp-agent');
const { url, socket: socketPath } = JSON.parse(await readAgentFile('rpc.json'));
const token = (await readAgentFile('token')).trim();

// 2. Connect. The token goes with the handshake. A browser, which cannot set headers, offers the subprotocol
// `bearer.TOKEN` instead. The agent answers 401 to a wrong token, and 403 to a web page that was not allowed.
const socket = new WebSocket(socketPath === undefined ? url : `ws+unix://${socketPath}:/`, {
  headers: { Authorization: `Bearer ${token}` },
});

/** What waits for the answer of a call, by its id: two functions, one for each outcome. */
const calls = new Map();
let lastId = 0;
/** What waits for the end of a transfer, by its id; and the ends that came before anybody waited. */
const waiting = new Map();
const ended = new Map();

socket.on('message', (data) => {
  const text = data.toString();
  console.log(`<-- ${shorten(text)}`);
  const message = JSON.parse(text);
  // A message with a method is a notification of the agent; the only one is `event`.
  if (message.method === 'event') onEvent(message.params);
  // All others are answers: `result` or `error`, and the id of the call.
  else {
    const [answered, refused] = calls.get(message.id);
    calls.delete(message.id);
    if (message.error === undefined) answered(message.result);
    // `code` is a number; `data` has the name of the failure, its kind, and whether trying again may help.
    else refused(new Error(`${message.error.message} (${message.error.data?.code ?? message.error.code})`));
  }
});

socket.on('close', () => {
  // Whether the agent did a call that it has not answered is unknown.
  const broken = new Error('The connection to the agent broke.');
  for (const [, refused] of [...calls.values(), ...waiting.values()]) refused(broken);
});
try {
  await new Promise((opened, failed) => socket.once('open', opened).once('error', failed));
  // 3. Subscribe first, so that no event is missed. Without `since` events come from now on; a client that comes back
  // gives the last `seq` that it has dealt with.
  const types = ['transfer.completed', 'transfer.failed', 'transfer.state', 'transfer.progress'];
  await call('events.subscribe', { types });

  // 4. Send. The answer comes when the transfer is in the agent's database; the events tell the rest.
  const sent = await call('transfers.send', { path: resolve(file) });
  await end(sent.id);

  // 5. The link. Whoever has it can download the file.
  const { recipients } = await call('transfers.descriptions', { id: sent.id });
  const [{ link }] = recipients;

  // 6. Receive, as the recipient would.
  const params = { link, directory: resolve(directory), approveRelays: 'all' };
  const received = await call('transfers.receive', params);
  const { path } = await end(received.id);
  console.log(`Received ${path}`);

  // 7. Delete the file from its relays.
  await call('transfers.revoke', { id: sent.id });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  socket.close();
}

/** Calls a method; parameters are given by name. */
function call(method, params) {
  const id = ++lastId;
  const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
  console.log(`--> ${shorten(text)}`);
  return new Promise((answered, refused) => {
    calls.set(id, [answered, refused]);
    socket.send(text);
  });
}

/**
 * A run of a transfer ends with exactly one of two events, or with the state `cancelled`. It may come before the answer
 * that tells the id.
 */
function onEvent(event) {
  if (event.type === 'transfer.progress') return;
  if (event.type === 'transfer.state' && event.data.to !== 'cancelled') return;
  ended.set(event.transferId, event);
  waiting.get(event.transferId)?.[0]();
}

async function end(id) {
  if (!ended.has(id)) await new Promise((told, broken) => waiting.set(id, [told, broken]));
  const { type, data } = ended.get(id);
  if (type === 'transfer.failed') throw new Error(data.failure.message);
  if (type === 'transfer.state') throw new Error('The transfer was cancelled.');
  return data.transfer;
}

async function readAgentFile(name) {
  const path = join(dataDir, name);
  return readFile(path, 'utf8').catch(() => {
    console.error(`No agent is running: ${path} cannot be read. Start it with \`xftp-agent start\`.`);
    process.exit(1);
  });
}

function shorten(text) {
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}
