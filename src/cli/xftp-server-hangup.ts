/**
 * Carries out something for each SIGHUP, one after another. A signal that comes before it is known what to do is kept.
 *
 * @param ready resolves with what to do, which must not reject
 */
export function onHangup(ready: Promise<() => Promise<void>>): void {
  // Whoever starts the relay tells why it did not start. Said here, since a failure may come before any signal.
  const known = ready.catch(() => undefined);
  let work = Promise.resolve();
  process.on('SIGHUP', () => {
    work = work.then(async () => {
      const act = await known;
      await act?.();
    });
  });
}
