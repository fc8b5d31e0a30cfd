import { createServer, type Server } from 'node:http';

import { listenOnLoopback } from './loopback.js';

/** Programs that ask at the same time. */
const MAX_CONNECTIONS = 16;
/** A request is a line and a few headers: time for it, in ms. */
const REQUEST_MS = 10_000;
const MAX_HEADER_BYTES = 8 * 1024;

/** Metrics over HTTP on loopback: `GET /metrics`, in the text format of Prometheus. */
export class MetricsPort {
  readonly #server: Server;

  /** @param metrics the text at this moment */
  constructor(metrics: () => Promise<string>) {
    this.#server = createServer(
      {
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: REQUEST_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
      },
      (request, response) => {
        request.resume();
        response.on('error', () => undefined);
        if (request.method !== 'GET' || request.url !== '/metrics') {
          response.writeHead(404, { 'content-type': 'text/plain' }).end('The metrics are at /metrics.\n');
          return;
        }
        void metrics().then(
          (text) => {
            response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
          },
          () => response.writeHead(500).end(),
        );
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Starts to listen, and gives the port.
   *
   * @param port 0 lets the system choose one
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO
   */
  listen(port: number): Promise<number> {
    return listenOnLoopback(this.#server, port, 'The metrics port');
  }

  /** Ends at once. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }
}
