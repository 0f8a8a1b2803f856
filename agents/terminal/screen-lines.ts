/** Joins the rows of a terminal's buffer to lines: rows that the terminal wrapped become one line. */
import type { IBuffer, IBufferLine } from '@xterm/headless';

export interface ScreenLine {
  /** The first row of the line. */
  readonly from: number;
  /** The row after the last row of the line. */
  readonly to: number;
  readonly text: string;
}

interface Rows {
  readonly from: number;
  readonly to: number;
  readonly cols: number;
}

export function joinedLines(buffer: IBuffer, { from, to, cols }: Rows): ScreenLine[] {
  const lines: ScreenLine[] = [];
  for (let row = from; row < to; row += 1) {
    const found = buffer.getLine(row);
    if (found === undefined) break;
    const last = found.isWrapped && row > from ? lines.pop() : undefined;
    const wraps = row + 1 < to && buffer.getLine(row + 1)?.isWrapped === true;
    const text = (last?.text ?? '') + (wraps ? textOfFull(found, cols) : found.translateToString(true));
    lines.push({ from: last?.from ?? row, to: row + 1, text: wraps ? text : text.trimEnd() });
  }
  return lines;
}

/**
 * Returns the text of a full row. A wide character that does not fit leaves the last cell of a wrapped row empty; that
 * cell is not a space in the text.
 */
function textOfFull(row: IBufferLine, cols: number): string {
  const isEmpty = row.getCell(cols - 1)?.getCode() === 0 && row.getCell(cols - 1)?.getWidth() === 1;
  return row.translateToString(false, 0, isEmpty ? cols - 1 : cols);
}

export function withoutBlankEnds(lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line !== '');
  const last = lines.findLastIndex((line) => line !== '');
  return first === -1 ? [] : lines.slice(first, last + 1);
}
