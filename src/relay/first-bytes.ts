import type { Socket } from 'node:net';

/** First byte of every TLS connection: a record of the handshake. */
const TLS_HANDSHAKE_RECORD = 0x16;
/** What HTTP begins with: a method, or that of HTTP/2. */
const HTTP_START = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PRI) /;
/** What proxies begin with that tell the client's address, in text or in bytes. */
const PROXY_START = /^(?:PROXY |\r\n\r\n\0\r\nQUIT\n)/;

/** What a connection begins with. */
export type FirstBytes = 'tls' | 'http' | 'proxy-protocol' | 'other';

/**
 * Waits for the first bytes of a connection and tells what they are. They are put back, so that whoever reads the
 * connection next gets them too. Never called when the connection ends before.
 */
export function onFirstBytes(socket: Socket, tell: (first: FirstBytes) => void): void {
  socket.once('readable', () => {
    // Read all that there is, since less would stay in two pieces.
    const bytes = socket.read() as Buffer | null; // no encoding is set
    if (bytes === null) return;
    socket.unshift(bytes);
    tell(classify(bytes));
  });
}

/** The whole answer to HTTP without TLS. */
export const PLAIN_HTTP_ANSWER = plainAnswer(
  'This port speaks XFTP over TLS. If a proxy stands in front of it, let the proxy pass TLS connections through as they are (TCP mode): TLS has to end in the relay.\n',
);

function plainAnswer(text: string): string {
  return [
    'HTTP/1.1 400 Bad Request',
    'content-type: text/plain',
    `content-length: ${String(text.length)}`,
    'connection: close',
    '',
    text,
  ].join('\r\n');
}

function classify(bytes: Buffer): FirstBytes {
  if (bytes[0] === TLS_HANDSHAKE_RECORD) return 'tls';
  const text = bytes.toString('latin1', 0, 16);
  if (HTTP_START.test(text)) return 'http';
  return PROXY_START.test(text) ? 'proxy-protocol' : 'other';
}
