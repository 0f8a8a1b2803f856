/** Formats tables with aligned columns, by the width that text takes on a terminal. */
import { fit, type Paint, pad, type Style, widthOf } from './terminal.ts';

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

/** Returns a header in capitals and the rows. The last column is not cut. */
export function columnsText(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  return tableLines(
    header.map((title) => ({ title })),
    rows,
    { columns: undefined, paint },
  ).join('\n');
}

export interface Column {
  readonly title: string;
  /** Maximum width of the column on a terminal. A longer cell is cut. */
  readonly most?: number;
  /**
   * If the terminal is too narrow, columns are omitted, the one with the highest number first. A column without a
   * number is always shown.
   */
  readonly dropped?: number;
}

export interface TableOptions {
  /** The terminal's width. If it is undefined, no line is cut and no column omitted. */
  readonly columns: number | undefined;
  readonly paint: Paint;
}

const GAP = 2;
/** Minimum width of the last column: if it would get less, another column is omitted. */
const LAST_COLUMNS = 24;

/** Returns the table's lines, none of which is wider than the terminal. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  { columns: room, paint }: TableOptions,
): string[] {
  const last = columns.length - 1;
  const widths = columns.map(({ title, most }, at) => {
    const widest = Math.max(widthOf(title), ...rows.map((row) => widthOf(row[at]?.text ?? '')));
    return room === undefined || most === undefined ? widest : Math.min(widest, most);
  });
  const shown = room === undefined ? columns.map((_, at) => at) : columnsThatFit(columns, widths, room);
  const left = shown.reduce((sum, at) => (at === last ? sum : sum + (widths[at] ?? 0) + GAP), 0);
  const cell = (text: string, at: number): string => {
    if (at === last) return room === undefined ? text : fit(text, Math.max(1, room - left));
    return pad(room === undefined ? text : fit(text, widths[at] ?? 0), widths[at] ?? 0);
  };
  const line = (cells: readonly Cell[]): string =>
    shown
      .map((at) => {
        const { text = '', style } = cells[at] ?? {};
        return style ? paint(style, cell(text, at)) : cell(text, at);
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  const titles = shown.map((at) => cell(columns[at]?.title ?? '', at)).join(' '.repeat(GAP));
  return [paint('dim', titles.trimEnd()), ...rows.map(line)];
}

function columnsThatFit(columns: readonly Column[], widths: readonly number[], room: number): number[] {
  const shown = new Set(columns.keys());
  const needed = (): number =>
    [...shown].reduce((sum, at) => sum + (at === columns.length - 1 ? LAST_COLUMNS : (widths[at] ?? 0) + GAP), 0);
  const order = [...columns.entries()]
    .filter(([, { dropped }]) => dropped !== undefined)
    .sort(([, a], [, b]) => (b.dropped ?? 0) - (a.dropped ?? 0));
  for (const [at] of order) if (needed() > room) shown.delete(at);
  return [...shown];
}
