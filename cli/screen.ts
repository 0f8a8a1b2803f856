/**
 * The interface of a timeline's output. A terminal has lines that stay and, below them, a few live lines that are
 * redrawn when they change; a pipe has only lines that stay.
 */
import type { Style } from './terminal.ts';

export interface LiveLine {
  readonly text: string;
  readonly style?: Style;
}

export interface Screen {
  /** Shows streamed text as it arrives. `style` distinguishes thoughts from answers. */
  text(chunk: string, style?: Style): void;
  /** Shows a line that stays. Streamed text before it is ended by a line end. */
  line(text: string, style?: Style): void;
  /** Sets the function that returns the live lines. */
  live(lines: () => readonly LiveLine[]): void;
  /**
   * Prints the start of a tool call or a plan. A screen with live lines lacks these functions, because it shows both
   * there.
   */
  started?(text: string): void;
  planned?(lines: readonly string[]): void;
  /** Calls the listener with each printable key. A screen without a keyboard lacks this function. */
  onKey?(listener: (key: string) => void): void;
  /** Redraws the live lines at once, without waiting for the next tick. */
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

/**
 * The number of columns that a line may use on a terminal. The last column stays free, because some terminals move to
 * the next row once it is used. A terminal that does not know its size (`script`, some CI systems) reports 0 columns.
 */
export const lineColumns = ({ columns }: Pick<Output, 'columns'>): number => Math.max(8, (columns || 80) - 1);
