// A bot that sends back every file that it gets.
//
//   node examples/echo-bot.js LINK…          answers these links, then ends, with 1 if one could not be answered
//   … | node examples/echo-bot.js            answers each line of its input, until the input ends
//
// In a real bot, links come and go over a messenger; here they come as text, and each answer is a link on standard
// output. Whatever happens to bot, agent or network: no file is forgotten, and none is sent twice. Three habits are
// enough for that, see (1), (2) and (3).
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

import { connectAgent } from 'xftp-agent/sdk';

/** Holds all that the bot has to remember: the number of the last event that it has dealt with. */
const STATE_FILE = process.env.ECHO_BOT_STATE ?? 'echo-bot-state.json';

// Finds the agent of this user by its data folder. The connection is made anew whenever it breaks.
const client = await connectAgent().catch((error) => {
  // No agent runs, most likely: a sentence, and what to do about it.
  console.error([error.message, error.hint ?? ''].join(' ').trim());
  process.exit(1);
});
/** Ids of the receives that were not answered yet. */
const open = new Set();
let moreLinks = true;

const seq = await readLastSeq();
const answering = answerEvents(seq);
const links = process.argv.length > 2 ? process.argv.slice(2) : createInterface({ input: process.stdin });
for await (const link of links) if (link.trim() !== '') await receive(link.trim());
moreLinks = false;
if (open.size === 0) await client.close();
await answering;

async function receive(link) {
  // (1) A name of our own for the transfer. If the bot is killed and gets the same link again, the agent gives back
  // the transfer that there is. Links are secrets, so the name is a digest of the link.
  const clientRef = `echo-bot receive ${createHash('sha256').update(link).digest('hex')}`;
  try {
    // `known`: relays that are not in the agent's server list would see our address, and nobody is here to ask.
    const params = { link, clientRef, approveRelays: 'known' };
    const transfer = await patiently(() => client.transfers.receive(params));
    open.add(transfer.id);
    if (transfer.state === 'failed' || transfer.state === 'cancelled')
      await client.transfers.retry({ id: transfer.id });
    // Completed in an earlier life of the bot; what it did then is done again, to the same effect.
    if (transfer.state === 'completed') await completed(transfer);
  } catch (error) {
    // One plain sentence for a person; `error.code` is for programs.
    console.error(`A link cannot be received: ${error.message}`);
    process.exitCode = 1;
  }
}

async function answerEvents(since) {
  const types = ['transfer.completed', 'transfer.failed', 'transfer.state', 'transfer.warning'];
  // (2) `since` is the last event that was dealt with: what happened while the bot was away comes first.
  const following = { since, types, onLagged: lookAtEverything, onPosition: writeLastSeq };
  for await (const event of client.events(following)) {
    if (event.type === 'transfer.completed') await completed(event.data.transfer);
    else if (event.type === 'transfer.failed') failed(event.data.transfer, event.data.failure);
    else if (event.type === 'transfer.warning') console.error(`Warning: ${event.data.failure.message}`);
    else if (event.data.to === 'cancelled') await cancelled(event.transferId);
    // (3) Only now: killed before this line, the bot gets the event once more.
    await writeLastSeq(event.seq);
  }
}

/** The agent keeps events for a week. After a longer absence the transfers themselves tell what there is to do. */
async function lookAtEverything() {
  let page = await client.transfers.list({ state: 'completed' });
  for (;;) {
    for (const transfer of page.items) await completed(transfer);
    if (page.nextCursor === undefined) return;
    page = await client.transfers.list({ state: 'completed', cursor: page.nextCursor });
  }
}

async function completed({ id, path, clientRef = '' }) {
  if (clientRef.startsWith('echo-bot receive ')) {
    // Again a name of our own: each received file is sent back once.
    const params = { path, clientRef: `echo-bot send ${id}` };
    const reply = await patiently(() => client.transfers.send(params));
    if (reply.state === 'completed') await completed(reply);
  } else if (clientRef.startsWith('echo-bot send ')) {
    const { recipients } = await patiently(() => client.transfers.descriptions({ id }));
    console.log(recipients[0].link);
    answered(clientRef.slice('echo-bot send '.length));
  }
}

function failed({ id, clientRef = '' }, { message, hint = '' }) {
  if (!clientRef.startsWith('echo-bot ')) return;
  console.error(`${message} ${hint}`.trim());
  process.exitCode = 1;
  answered(clientRef.startsWith('echo-bot send ') ? clientRef.slice('echo-bot send '.length) : id);
}

/** Somebody else has ended it: there is no event of its own for that. */
async function cancelled(id) {
  const transfer = await client.transfers.get({ id }).catch(() => undefined);
  if (transfer === undefined) answered(id);
  else if (transfer.state === 'cancelled') failed(transfer, { message: 'The transfer was cancelled.' });
}

/** While the agent is being started again, calls fail. With names of our own they may be repeated without a thought. */
async function patiently(call) {
  for (;;)
    try {
      return await call();
    } catch (error) {
      if (!error.temporary) throw error;
      await pause(500);
    }
}

function answered(receiveId) {
  open.delete(receiveId);
  if (!moreLinks && open.size === 0) void client.close(); // Which ends its events, too.
}

async function readLastSeq() {
  const text = await readFile(STATE_FILE, 'utf8').catch(() => undefined);
  // The first start: from now on.
  return text === undefined ? (await client.agent.info()).events.newest : JSON.parse(text).seq;
}

/** A file that is replaced is never half written. */
async function writeLastSeq(number) {
  await writeFile(`${STATE_FILE}.new`, JSON.stringify({ seq: number }));
  await rename(`${STATE_FILE}.new`, STATE_FILE);
}
