/**
 * The output of a timeline. A terminal has lines that stay and, below them, a few that are drawn again as things change;
 * a pipe has only lines that stay.
 */
import type { Style } from './terminal.ts';

export interface LiveLine {
  readonly text: string;
  readonly style?: Style;
}

export interface Screen {
  /** Text as it comes; `style` tells thoughts from answers. */
  text(chunk: string, style?: Style): void;
  /** One that stays. Text that came before ends its line. */
  line(text: string, style?: Style): void;
  /** The lines to show at the bottom from now on. */
  live(lines: () => readonly LiveLine[]): void;
  /** A screen without a bottom prints it at the beginning; one with a bottom shows it there. */
  started?(text: string): void;
  planned?(lines: readonly string[]): void;
  /** Calls the listener with each printable key; a screen without a keyboard has none. */
  onKey?(listener: (key: string) => void): void;
  /** Draws the live lines now, not at the next tick. */
  redraw?(): void;
  /** Removes the live lines. */
  end(): void;
}

export interface Output {
  write(text: string): unknown;
  readonly columns?: number;
  readonly rows?: number;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

/** Columns of a line on a terminal: the last one stays free, as some terminals go to the next row once it is used. */
export const lineColumns = ({ columns = 80 }: Pick<Output, 'columns'>): number => Math.max(8, columns - 1);
