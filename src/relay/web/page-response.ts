import { findPage, type Pages } from './pages.js';

/** A browser's request for a page. */
export interface PageRequest {
  /** GET or HEAD. */
  readonly method: string | undefined;
  /** Path and query; `/` unless given. */
  readonly path: string | undefined;
  /** What the browser takes: the header `accept-encoding`. */
  readonly codings: string | readonly string[] | undefined;
}

/** A response to a browser that asks for a page. */
export interface PageResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for HEAD, which asks for no body. */
  readonly content: Buffer;
}

const NOTHING = Buffer.alloc(0);
/** The reference leaves such requests without an answer; browsers would wait for ever. */
const NOT_FOUND = Buffer.from('There is no such page on this relay.\n');

/** The page that a GET or HEAD asks for, compressed if the browser wants it so (protocol reference, section 2.4). */
export function respondWithPage(pages: Pages, { method, path, codings }: PageRequest): PageResponse {
  const withBody = (content: Buffer): Buffer => (method === 'HEAD' ? NOTHING : content);
  const page = findPage(pages, path ?? '/');
  if (page === undefined)
    return { status: 404, headers: { 'content-type': 'text/plain' }, content: withBody(NOT_FOUND) };
  const basic = { 'content-type': page.contentType };
  if (page.gzipped === undefined || !acceptsGzip(codings))
    return { status: 200, headers: basic, content: withBody(page.content) };
  return {
    status: 200,
    headers: { ...basic, 'content-encoding': 'gzip' },
    content: withBody(page.gzipped),
  };
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
