// What a front end does when its user sends a file: progress, speed, time left; then the links to pass on.
//
//   node examples/send-with-progress.js FILE [RECIPIENTS]
//
// The transfer belongs to the agent: it would go on if this program, or the whole front end, were closed now. So here
// Ctrl-C, the user's "Cancel", has to say so to the agent.
import { resolve } from 'node:path';

import { connectAgent } from 'xftp-agent/sdk';

const [file, recipients = '1'] = process.argv.slice(2);
if (file === undefined) {
  console.error('Usage: node examples/send-with-progress.js FILE [RECIPIENTS]');
  process.exit(2);
}

const client = await connectAgent().catch((error) => {
  // No agent runs, most likely: a sentence, and what to do about it.
  console.error([error.message, error.hint ?? ''].join(' ').trim());
  process.exit(1);
});
try {
  // Events from here on: asked for before the transfer starts, so that none of it is missed.
  const since = (await client.agent.info()).events.newest;

  // Answers when the agent has its own copy of the file and the transfer is in its database. The file may be changed
  // or removed now.
  const { id, fileName } = await client.transfers.send({
    path: resolve(file),
    recipients: Number(recipients),
  });
  console.log(`Sending ${fileName}, transfer ${id}`);
  process.once('SIGINT', () => void client.transfers.cancel({ id }));

  process.exitCode = await follow(id, since);
} catch (error) {
  // Every failure is an XftpError: a sentence for the user, and `code` and `kind` for the program.
  console.error(`${error.message} (${error.code})`);
  process.exitCode = 1;
} finally {
  await client.close();
}

/** Shows the transfer until it ends; gives the exit code. */
async function follow(id, since) {
  for await (const event of client.events({ since, transferId: id })) {
    switch (event.type) {
      // At most four a second, only while bytes move. It has no number: a lost one is made up for by the next.
      case 'transfer.progress':
        show(progressText(event.data));
        break;
      case 'transfer.state':
        show(stateText(event.data));
        if (event.data.to === 'cancelled') return 130;
        break;
      // The transfer goes on. A security warning, a relay that is not who it should be, is worth a dialog.
      case 'transfer.warning':
        show(`Warning: ${event.data.failure.message}`);
        break;
      // Exactly one of these two ends each run.
      case 'transfer.completed':
        await printLinks(id);
        return 0;
      case 'transfer.failed':
        // The user may want to `transfers.retry`: what is done stays done.
        console.error(event.data.failure.message);
        if (event.data.failure.hint !== undefined) console.error(event.data.failure.hint);
        return 1;
    }
  }
  return 1;
}

/** Members that are not known yet are absent. */
function progressText({ bytesDone, bytesTotal, bytesPerSecond, secondsLeft }) {
  const percent = bytesTotal === 0 ? 100 : Math.floor((bytesDone / bytesTotal) * 100);
  const left = secondsLeft === undefined ? '' : `, ${Math.ceil(secondsLeft)} s left`;
  return `${percent} %: ${size(bytesDone)} of ${size(bytesTotal)}, ${size(bytesPerSecond)}/s${left}`;
}

function stateText({ to, waitingReason, failure }) {
  if (to !== 'waiting') return `Now ${to}`;
  // Nothing has to be done: the agent tries again until the transfer's deadline, 48 hours unless told otherwise.
  const reasons = {
    offline: 'the network',
    relay: 'a relay that answers',
    disk: 'room on the disk',
  };
  return `Waiting for ${reasons[waitingReason]}${failure === undefined ? '' : `: ${failure.message}`}`;
}

async function printLinks(id) {
  // Secrets: whoever has one of these can download the file.
  const descriptions = await client.transfers.descriptions({ id });
  for (const { number, link, webLink, fitsQrCode } of descriptions.recipients) {
    console.log(`Recipient ${number}${fitsQrCode ? ' (fits a QR code)' : ''}`);
    console.log(`  ${link}`);
    console.log(`  ${webLink}`);
  }
  if (descriptions.spare > 0)
    console.log(`${descriptions.spare} more recipients cost nothing: transfers.addRecipients`);
}

function size(bytes) {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function show(line) {
  console.log(line);
}
