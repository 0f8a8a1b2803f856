/** Columns that line up, by what a terminal shows. */
import { type Paint, pad, type Style, widthOf } from './terminal.ts';

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

/** A header in capitals, then the rows; the last column is as long as it is. */
export function columnsText(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => widthOf(row[at]?.text ?? ''))));
  const last = header.length - 1;
  const line = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, style }, at) => {
        const padded = at === last ? text : pad(text, widths[at] ?? 0);
        return style ? paint(style, padded) : padded;
      })
      .join('  ')
      .trimEnd();
  const titles = header.map((title, at) => (at === last ? title : pad(title, widths[at] ?? 0))).join('  ');
  return [paint('dim', titles), ...rows.map(line)].join('\n');
}
