import { decodeUtf8, decodeUtf8Strict, encodeUtf8 } from './bytes.js';
import { decodeBase64Url, encodeBase64Url } from './base64url.js';
import { deflateRaw, inflateRaw } from './deflate.js';
import { formatDescription, MAX_DESCRIPTION_LENGTH, parseDescription } from './description-yaml.js';
import { isXftpError, XftpError } from './failure.js';
import type { FileDescription } from './file-description.js';

/** Most characters of a URI for a QR code; a longer one is better sent as a redirect (protocol reference, 9.2). */
export const QR_LINK_LIMIT = 1002;

/** Most characters of a link: the longest description, percent-encoded throughout, and room for data. */
const MAX_LINK_LENGTH = 4 * MAX_DESCRIPTION_LENGTH;

/** How a description URI begins: `simplex:`, or `https://` and a host. */
export type UriScheme = 'simplex:' | `https://${string}`;

/** What may stand in a description URI beside the description. */
export interface UriOptions {
  /** `simplex:` unless told otherwise. */
  readonly scheme?: UriScheme;
  /** Any text; the SimpleX apps put JSON there. */
  readonly data?: string;
}

/**
 * The URI of a description for SimpleX apps, `simplex:/file#/?desc=…` (protocol reference, section 9.2).
 *
 * @throws XftpError INVALID_ARGUMENT for a sender's description or another scheme; INVALID_DESCRIPTION.
 */
export function formatDescriptionUri(description: FileDescription, options: UriOptions = {}): string {
  const { scheme = 'simplex:', data } = options;
  if (!/^(?:simplex:|https:\/\/[^/?#\s]+)$/.test(scheme))
    throw new XftpError('INVALID_ARGUMENT', 'A file URI begins with simplex: or with https:// and a host.');
  const dataPart = data === undefined ? '' : `&data=${encodeComponent(data)}`;
  return `${scheme}/file#/?desc=${encodeComponent(recipientYaml(description))}${dataPart}`;
}

/** Everything but `A-Z a-z 0-9 - _ . ~` becomes `%XX`. */
function encodeComponent(text: string): string {
  // Through UTF-8, as the standard function throws on half surrogate pairs.
  return encodeURIComponent(decodeUtf8(encodeUtf8(text))).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What a description URI carries. */
export interface DescriptionUri {
  readonly description: FileDescription;
  readonly data?: string;
}

/** In any case, as schemes may be written (RFC 3986, section 3.1). */
const SIMPLEX = /^simplex:/i;
const URI = /^(?:simplex:|https:\/\/[^/?#\s]+)\/file\/?#\/\?(\S*)/i;

/**
 * Reads a description URI. Unknown parameters and all from the first blank on are ignored.
 *
 * @throws XftpError INVALID_LINK, or INVALID_DESCRIPTION when the link is fine and its description is not.
 */
export function parseDescriptionUri(text: string): DescriptionUri {
  checkLength(text);
  const query = URI.exec(text)?.[1];
  if (query === undefined) throw invalid('it does not have the form simplex:/file#/?desc=…');
  const parameters = query.split('&');
  const yaml = parameter(parameters, 'desc');
  const data = parameter(parameters, 'data');
  if (yaml === undefined) throw invalid('it has no desc parameter');
  const description = parseRecipient(yaml);
  return data === undefined ? { description } : { description, data };
}

/** The decoded value of the first parameter of that name. */
function parameter(parameters: readonly string[], name: string): string | undefined {
  const encoded = parameters.find((item) => item.startsWith(`${name}=`))?.slice(name.length + 1);
  if (encoded === undefined) return undefined;
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '));
  } catch (cause) {
    throw invalid(`its ${name} parameter is not percent-encoded text`, cause);
  }
}

/** A description as the fragment of a web link: base64url of its raw DEFLATE (protocol reference, section 9.3). */
export function encodeWebFragment(description: FileDescription): string {
  return encodeBase64Url(deflateRaw(encodeUtf8(recipientYaml(description))));
}

/**
 * Reads the fragment of a web link, without the `#`.
 *
 * @throws XftpError INVALID_LINK, or INVALID_DESCRIPTION when the fragment is fine and its description is not.
 */
export function decodeWebFragment(fragment: string): FileDescription {
  checkLength(fragment);
  const yaml = decodeUtf8Strict(inflateFragment(fragment));
  if (yaml === undefined) throw invalid('the description in it is not UTF-8 text');
  return parseRecipient(yaml);
}

function inflateFragment(fragment: string): Uint8Array {
  try {
    return inflateRaw(decodeBase64Url(fragment), MAX_DESCRIPTION_LENGTH);
  } catch (cause) {
    throw invalid('what follows its # is damaged or not a file description', cause);
  }
}

/** The parts of a web link. */
export interface WebLinkParts {
  /** `https://HOST[:PORT]`, without a slash at the end. */
  readonly origin: string;
  /** `/` unless told otherwise, as the reference prints it. The page of a reference relay is at `/file`. */
  readonly path?: string;
  readonly description: FileDescription;
}

/**
 * A link that a browser can open, if the origin serves the page for it.
 *
 * @throws XftpError INVALID_ARGUMENT for a sender's description, a wrong origin or path; INVALID_DESCRIPTION.
 */
export function formatWebLink({ origin, path = '/', description }: WebLinkParts): string {
  if (!/^https?:\/\/[^/?#\s]+$/.test(origin) || !/^\/[^#\s]*$/.test(path))
    throw new XftpError(
      'INVALID_ARGUMENT',
      'A web link needs an origin like https://example.com and a path.',
    );
  return `${origin}${path}#${encodeWebFragment(description)}`;
}

/**
 * The web link as the reference command line prints it: at the first host of the first chunk's server, without a
 * port. An IPv6 host stands in brackets, as URLs want it.
 *
 * @throws XftpError INVALID_ARGUMENT for a sender's description, INVALID_DESCRIPTION.
 */
export function webLinkOf(description: FileDescription): string {
  const host = description.chunks[0]?.replicas[0]?.server.hosts[0];
  if (host === undefined) throw new XftpError('INVALID_DESCRIPTION', 'The file description has no servers.');
  const origin = `https://${host.kind === 'ipv6' ? `[${host.text}]` : host.text}`;
  return formatWebLink({ origin, description });
}

/**
 * The description in a link of any kind: a description URI or a web link. Blanks around it are ignored.
 *
 * @throws XftpError INVALID_LINK, or INVALID_DESCRIPTION when the link is fine and its description is not.
 */
export function parseLink(text: string): FileDescription {
  checkLength(text);
  const link = text.trim();
  if (SIMPLEX.test(link) || URI.test(link)) return parseDescriptionUri(link).description;
  if (!/^https?:\/\//i.test(link)) throw invalid('it begins neither with simplex: nor with https://');
  const hash = link.indexOf('#');
  if (hash < 0) throw invalid('it has no # and nothing after it: copy the whole link');
  return decodeWebFragment(link.slice(hash + 1));
}

/** Links are public: the sender's keys must not get into one. */
function recipientYaml(description: FileDescription): string {
  if (description.party !== 'recipient')
    throw new XftpError('INVALID_ARGUMENT', "A link carries a recipient's description, not the sender's.");
  return formatDescription(description);
}

function parseRecipient(yaml: string): FileDescription {
  if (yaml.trim() === '') throw invalid('the file description in it is empty');
  const description = parseWhole(yaml);
  if (description.party !== 'recipient')
    throw invalid("it carries a sender's description, not a recipient's");
  return description;
}

function parseWhole(yaml: string): FileDescription {
  try {
    return parseDescription(yaml);
  } catch (cause) {
    if (!isXftpError(cause)) throw cause;
    throw new XftpError(cause.code, `${cause.message} Perhaps the link was not copied whole.`, { cause });
  }
}

function checkLength(text: string): void {
  if (text.length > MAX_LINK_LENGTH) throw invalid('it is too long');
}

function invalid(reason: string, cause?: unknown): XftpError {
  return new XftpError('INVALID_LINK', `This link cannot be read: ${reason}.`, { cause });
}
