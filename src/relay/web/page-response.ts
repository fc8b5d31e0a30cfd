import type { IncomingHttpHeaders } from 'node:http2';

import type { Pages } from './pages.js';
import { headOf, type ResponseHead } from './response-heads.js';

/** A response to a browser that asks for a page. */
export interface PageResponse {
  readonly head: ResponseHead;
  /** Empty for HEAD, which asks for no body. */
  readonly content: Buffer;
}

const NOTHING = Buffer.alloc(0);
/** The reference leaves such requests without an answer; browsers would wait for ever. */
const NOT_FOUND = Buffer.from('There is no such page on this relay.\n');

/** The page that a GET or HEAD asks for, compressed if the browser wants it so (protocol reference, section 2.4). */
export function respondWithPage(pages: Pages, headers: IncomingHttpHeaders): PageResponse {
  const withBody = (content: Buffer): Buffer => (headers[':method'] === 'HEAD' ? NOTHING : content);
  const page = pages(headers[':path'] ?? '/');
  if (page === undefined)
    return {
      head: headOf({ ':status': 404, 'content-type': 'text/plain' }),
      content: withBody(NOT_FOUND),
    };
  const basic = { ':status': 200, 'content-type': page.contentType };
  if (page.gzipped === undefined || !acceptsGzip(headers['accept-encoding']))
    return { head: headOf(basic), content: withBody(page.content) };
  return { head: headOf({ ...basic, 'content-encoding': 'gzip' }), content: withBody(page.gzipped) };
}

/** Whether `gzip` is in a list of codings and not given the weight 0. */
function acceptsGzip(codings: string | readonly string[] | undefined): boolean {
  return String(codings ?? '')
    .split(',')
    .some((coding) => {
      const [name, ...parameters] = coding.split(';').map((part) => part.trim().toLowerCase());
      return name === 'gzip' && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
    });
}
