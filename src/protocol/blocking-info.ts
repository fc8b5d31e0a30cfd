import { XftpError } from './failure.js';

/** Why an operator blocked a chunk. */
export type BlockingReason = 'spam' | 'content';

/** Why a chunk was blocked, with an optional notice for the people concerned. */
export interface BlockingInfo {
  readonly reason: BlockingReason;
  /** `ttl`: how long the block lasts, in seconds. */
  readonly notice?: { readonly ttl?: number };
}

const PATTERN = /^reason=(spam|content)(?:,notice=(\{.*\}))?$/s;

/** `reason=…[,notice=JSON]`, as in errors, in the store log and at the control port. */
export function formatBlockingInfo(info: BlockingInfo): string {
  const notice = info.notice === undefined ? '' : `,notice=${JSON.stringify(info.notice)}`;
  return `reason=${info.reason}${notice}`;
}

/**
 * Reads `reason=…[,notice=JSON]`. Unknown members of the notice are ignored.
 *
 * @throws XftpError INVALID_ENCODING
 */
export function parseBlockingInfo(text: string): BlockingInfo {
  const match = PATTERN.exec(text);
  if (match === null) throw new XftpError('INVALID_ENCODING', 'This is not a blocking reason.');
  const reason: BlockingReason = match[1] === 'spam' ? 'spam' : 'content';
  return match[2] === undefined ? { reason } : { reason, notice: parseNotice(match[2]) };
}

function parseNotice(json: string): { ttl?: number } {
  try {
    const notice: unknown = JSON.parse(json);
    if (typeof notice !== 'object' || notice === null || !('ttl' in notice) || notice.ttl === null) return {};
    if (Number.isSafeInteger(notice.ttl)) return { ttl: Number(notice.ttl) };
  } catch {
    // Falls through to the error below.
  }
  throw new XftpError('INVALID_ENCODING', 'The notice of a blocked chunk is not valid JSON.');
}
