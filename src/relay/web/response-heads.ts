import type { OutgoingHttpHeaders, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2';

/** How a response begins. */
export type ResponseHead = (stream: ServerHttp2Stream) => void;

/** Clients get the headers that the reference sends, without the date that Node would add. */
const WITHOUT_DATE: ServerStreamResponseOptions & { readonly sendDate: boolean } = { sendDate: false };

/** For native clients, to whom no header means anything (protocol reference, section 2.1). */
export const NATIVE_HEAD = headOf({ ':status': 200 });

/** Lets scripts of any origin read the response (section 2.4). */
export const WEB_HEAD = headOf({
  ':status': 200,
  'access-control-allow-origin': '*',
  'access-control-expose-headers': '*',
});

/** The answer to a browser that asks whether a script of another origin may send a request (section 2.4). */
export const PREFLIGHT_HEAD = headOf({
  ':status': 200,
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': '*',
  'access-control-max-age': '86400',
});

/** Any other head for browsers. */
export function headOf(headers: OutgoingHttpHeaders): ResponseHead {
  return (stream) => {
    stream.respond(headers, WITHOUT_DATE);
  };
}
