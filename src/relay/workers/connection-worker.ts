// The program of a connection worker, which a relay starts beside itself. Signals are the business of the relay: those
// that a service manager sends to all processes must not end a worker before its requests are done.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

if (process.send === undefined) {
  process.stderr.write('This program is a part of xftp-server, which starts it by itself.\n');
  process.exit(1);
}
// Loaded after the signals are taken care of.
const { serveConnections } = await import('./serve-connections.js');
serveConnections((message, socket, done) => {
  process.send?.(message, socket, undefined, done);
});

export {};
