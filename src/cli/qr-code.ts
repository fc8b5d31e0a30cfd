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

/** Light modules are drawn, so that the code reads right on dark terminals, which are the usual ones. */
function blockFor(upperDark: boolean, lowerDark: boolean): string {
  if (upperDark) return lowerDark ? ' ' : '▄';
  return lowerDark ? '▀' : '█';
}
