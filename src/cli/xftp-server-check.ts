import { humanSize } from '../protocol/index.js';
import { type CheckReport, checkRelay, loadRelayConfig, type RelayFolders } from '../relay/index.js';
import type { Output } from './output.js';

/** Exit codes of `check`, beside 0 for a clean relay and 1 when it could not be checked. */
export const EXIT_REPAIRED = 2;
export const EXIT_DAMAGED = 3;

const EXIT_OF: Readonly<Record<CheckReport['outcome'], number>> = {
  clean: 0,
  repaired: EXIT_REPAIRED,
  damaged: EXIT_DAMAGED,
};

/** `check`: verifies what the relay keeps, and repairs it if that is wanted. */
export async function checkServer(
  folders: RelayFolders,
  output: Output,
  options: { readonly repair?: boolean; readonly quick?: boolean },
): Promise<void> {
  const config = await loadRelayConfig(folders, process.env);
  const show = output.progress('Checking');
  const report = await checkRelay(folders, config, {
    repair: options.repair === true,
    digests: options.quick !== true,
    progress: (done, total) => {
      show({ done, total });
    },
  });
  output.endProgress();
  output.result('check', textOf(report, options.repair === true), { ...report });
  process.exitCode = EXIT_OF[report.outcome];
}

function textOf({ findings, repairs, outcome, chunks, bodies, bytes }: CheckReport, repair: boolean): string {
  const repairable = !repair && findings.some(({ kind }) => kind === 'damage');
  return [
    ...findings.map(({ kind, message }) => (kind === 'warning' ? `Warning: ${message}` : message)),
    ...repairs,
    `${String(chunks)} chunks, ${String(bodies)} of them uploaded (${humanSize(bytes)}): ${outcome}.` +
      (repairable ? ' `xftp-server check --repair` repairs what can be repaired.' : ''),
  ].join('\n');
}
