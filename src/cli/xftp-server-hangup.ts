/**
 * Takes care of SIGHUP from now on, which would end the process. What each signal is to do is said later, by calling the
 * function that this returns: signals that came before are carried out then, one after another.
 */
export function keepHangups(): (act: () => Promise<void>) => void {
  let known: ((act: () => Promise<void>) => void) | undefined;
  const ready = new Promise<() => Promise<void>>((resolve) => {
    known = resolve;
  });
  let work = Promise.resolve();
  process.on('SIGHUP', () => {
    work = work.then(async () => {
      const act = await ready;
      await act();
    });
  });
  return (act) => known?.(act);
}
