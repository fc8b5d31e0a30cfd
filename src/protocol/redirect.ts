import { bytesEqual } from './bytes.js';
import { XftpError } from './failure.js';
import type { FileDescription } from './file-description.js';

/**
 * Checks a description that was found inside a redirect against what the redirect promises (protocol reference,
 * section 9.4): a recipient's description of the same size and digest, and no redirect again. The digests are no
 * secrets between the two: whoever holds the outer description can get the inner one.
 *
 * @throws XftpError REDIRECT_MISMATCH, INVALID_ARGUMENT when `outer` is no redirect.
 */
export function checkRedirect(outer: FileDescription, inner: FileDescription): void {
  const { redirect } = outer;
  if (redirect === undefined)
    throw new XftpError('INVALID_ARGUMENT', 'The outer description is no redirect.');
  if (inner.party !== 'recipient')
    throw mismatch("it leads to a sender's description, which nobody may receive");
  if (inner.redirect !== undefined) throw mismatch('it leads to another redirect, and only one is followed');
  if (inner.size !== redirect.size) throw mismatch('the size of the file differs from the one it promises');
  if (!bytesEqual(inner.digest, redirect.digest))
    throw mismatch('the digest of the file differs from the one it promises');
}

function mismatch(reason: string): XftpError {
  return new XftpError('REDIRECT_MISMATCH', `The link is a redirect that cannot be followed: ${reason}.`);
}
