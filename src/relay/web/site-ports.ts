import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Server as TcpServer, Socket } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';

import { isXftpError } from '../../protocol/index.js';
import { type ListenPlace, Ports } from '../ports.js';
import { webContextOptions } from '../shown-identity.js';
import { respondWithPage } from './page-response.js';
import { NO_PAGES, type Pages } from './pages.js';
import type { WebCertificate } from './web-certificate.js';

/** Browsers at the same time on each port: chunks matter more than pages. */
const MAX_CONNECTIONS = 512;
/** Time for a request, which is a line and some headers, in ms. */
const REQUEST_MS = 10_000;
/** Longest time without a byte in either direction, in ms. */
const IDLE_MS = 30_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** Bytes of a page that are sent at once: a connection holds no more than some of them, however slow it is. */
const PIECE = 64 * 1024;

const LIMITS = {
  headersTimeout: REQUEST_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: REQUEST_MS,
  connectionsCheckingInterval: REQUEST_MS,
  maxHeaderSize: MAX_HEADER_BYTES,
};

/** What the ports for browsers show. */
export interface Site {
  readonly pages: Pages;
  /** Of the ports with TLS. */
  readonly certificate: WebCertificate | undefined;
}

/** Something of the ports without TLS, and of those with it. */
export interface BothKinds<T> {
  readonly http: T;
  readonly https: T;
}

/** What the ports tell of themselves. */
export interface SiteReports {
  /** Told, in one sentence, of ports that cannot be listened on: a relay without its pages is still a relay. */
  readonly report: (problem: string) => void;
  /** Told when connections cannot be accepted for a while. */
  readonly failed: (error: unknown) => void;
}

/**
 * Ports with the web pages and nothing else, over HTTP and over HTTPS with the web certificate (protocol reference,
 * section 11.7).
 */
export class SitePorts {
  readonly #reports: SiteReports;
  readonly #http: Ports<Server>;
  readonly #https: Ports<TlsServer>;
  /** Those of handshakes too, of which the servers know nothing. */
  readonly #sockets = new Set<Socket>();
  #site: Site = { pages: NO_PAGES, certificate: undefined };

  constructor(reports: SiteReports) {
    this.#reports = reports;
    const { failed } = reports;
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      this.#answer(request, response);
    };
    const create = {
      http: () => this.#bounded(createServer(LIMITS, answer)),
      https: () => this.#bounded(createTlsServer({ ...LIMITS, ...contextOf(this.#site) }, answer)),
    };
    this.#http = new Ports({ create: create.http, section: 'WEB', failed });
    this.#https = new Ports({ create: create.https, section: 'WEB', failed });
  }

  /** Listens, with TLS only where there is a certificate, and gives the port of each place. */
  async open(site: Site, places: BothKinds<readonly ListenPlace[]>): Promise<BothKinds<readonly number[]>> {
    this.#site = site;
    return {
      http: await this.#listen(this.#http, places.http),
      https: site.certificate === undefined ? [] : await this.#listen(this.#https, places.https),
    };
  }

  /** Shows something else to whoever comes from now on. A certificate that there is no more stays. */
  show({ pages, certificate = this.#site.certificate }: Site): void {
    this.#site = { pages, certificate };
    for (const server of this.#https.servers) server.setSecureContext(contextOf(this.#site));
  }

  /** Ends at once. */
  async stop(): Promise<void> {
    const closed = Promise.all([this.#http.close(), this.#https.close()]);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #bounded<S extends Server | TlsServer>(server: S): S {
    server.maxConnections = MAX_CONNECTIONS;
    server.setTimeout(IDLE_MS);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return server;
  }

  async #listen<S extends TcpServer>(
    ports: Ports<S>,
    places: readonly ListenPlace[],
  ): Promise<readonly number[]> {
    try {
      return await ports.open(places);
    } catch (error) {
      if (!isXftpError(error)) throw error;
      this.#reports.report(error.message);
      return [];
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    response.on('error', ignore);
    const { method, url, headers } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD', 'content-type': 'text/plain' });
      response.end('There are only pages here.\n');
      return;
    }
    const page = respondWithPage(this.#site.pages, {
      method,
      path: url,
      codings: headers['accept-encoding'],
    });
    if (method === 'HEAD') {
      response.writeHead(page.status, page.headers).end();
      return;
    }
    response.writeHead(page.status, { ...page.headers, 'content-length': page.content.length });
    pipeline(Readable.from(piecesOf(page.content)), response, ignore);
  }
}

function* piecesOf(content: Buffer): Generator<Buffer> {
  for (let start = 0; start < content.length; start += PIECE) yield content.subarray(start, start + PIECE);
}

function contextOf({ certificate }: Site): SecureContextOptions {
  return certificate === undefined ? {} : webContextOptions(certificate);
}

function ignore(): void {
  // Browsers come and go; nothing is logged about them.
}
