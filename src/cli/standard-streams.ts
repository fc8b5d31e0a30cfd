/** Whoever reads the output may go away, as in `| head`: the program goes on, unseen. */
export function surviveClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: Error) => {
      if (!('code' in error && error.code === 'EPIPE')) throw error;
    });
}
