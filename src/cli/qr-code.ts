import qrcode from 'qrcode-generator';

/** Empty columns and rows around the code, in modules: phones need them (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** A QR code as lines of text, two modules to a character: dark on light, whatever the terminal's colours are. */
export function renderQrCode(text: string): string[] {
  const code = qrcode(0, 'L');
  code.addData(text, 'Byte');
  code.make();
  const size = code.getModuleCount();
  const isDark = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < size && column < size && code.isDark(row, column);
  const lines: string[] = [];
  for (let row = -QUIET_ZONE; row < size + QUIET_ZONE; row += 2) {
    let line = '';
    for (let column = -QUIET_ZONE; column < size + QUIET_ZONE; column++)
      line += blockFor(isDark(row, column), isDark(row + 1, column));
    lines.push(line);
  }
  return lines;
}

/** A QR code of a link as lines for standard output, or a line that says why there is none. */
export function qrLines(link: string, fitsQrCode: boolean): string[] {
  if (!fitsQrCode)
    return ['(The link is too long for a QR code that phones can read: pass the description or the link.)'];
  const code = renderQrCode(link);
  const fits = !process.stdout.isTTY || (code[0]?.length ?? 0) <= process.stdout.columns;
  return fits ? code : ['(The terminal is too narrow for the QR code.)'];
}

/** Light modules are drawn, so that the code reads right on dark terminals, which are the usual ones. */
function blockFor(upperDark: boolean, lowerDark: boolean): string {
  if (upperDark) return lowerDark ? ' ' : '▄';
  return lowerDark ? '▀' : '█';
}
