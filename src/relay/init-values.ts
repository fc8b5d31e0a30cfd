import { isPasswordText, parseHost, XftpError } from '../protocol/index.js';

/**
 * The names in a text of host names and addresses, separated by commas: at least one.
 *
 * @throws XftpError INVALID_ARGUMENT
 */
export function hostNamesOf(text: string): readonly [string, ...string[]] {
  const [first = '', ...others] = text.split(',');
  for (const name of [first, ...others]) checkHostName(name, text);
  return [first, ...others];
}

/** @throws XftpError INVALID_ARGUMENT when a text is not one host name or address */
export function checkHostName(name: string, shown = name): void {
  try {
    parseHost(name);
  } catch (cause) {
    throw new XftpError('INVALID_ARGUMENT', `${JSON.stringify(shown)} is not a host name or an address.`, {
      cause,
    });
  }
}

/**
 * Makes sure that an INI gives a path back as it is: values there are one line, and blanks around them do not count.
 *
 * @param what the folder is for
 * @throws XftpError INVALID_ARGUMENT
 */
export function checkFolderPath(path: string, what: string): void {
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  if (path !== '' && path === path.trim() && !/[\u0000-\u001f\u007f]/.test(path)) return;
  throw new XftpError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(path)} cannot be the folder of the ${what}: ` +
      'a path must not be empty, begin or end with blanks, or hold line breaks or other control characters.',
  );
}

/** What a password of the protocol consists of. */
export const PASSWORD_RULE = '1 to 255 printable ASCII characters without space, @, : and /';

/** Whether clients can send a password: its bytes must be what the protocol allows. */
export function isPassword(text: string): boolean {
  const bytes = Buffer.from(text);
  return bytes.length > 0 && bytes.length <= 255 && isPasswordText(bytes);
}

/** @throws XftpError INVALID_ARGUMENT when clients could not send a password */
export function checkPassword(text: string): void {
  if (!isPassword(text)) throw new XftpError('INVALID_ARGUMENT', `A password must be ${PASSWORD_RULE}.`);
}
