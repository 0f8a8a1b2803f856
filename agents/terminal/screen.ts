/**
 * Converts terminal output to the text that a person reads. The screen emits each line once, when the program can no
 * longer change the line. So a spinner, a progress bar or a redrawn line appears only in its last state.
 *
 * A line is emitted
 * - when it scrolls out at the top, because the program can no longer reach it;
 * - by `settleQuiet`, while the program has only written forwards: the lines above the cursor position of the previous
 * call;
 * - before the program enters the alternate screen, to keep the order;
 * - at the end.
 * A line that changes after it was emitted is emitted once more, in its last state. The last state of an alternate
 * screen is emitted when the program leaves that screen, or at the end.
 *
 * The same output gives the same text, in whatever chunks the output arrives. Only `settleQuiet` depends on time. It
 * changes the text only if a program redraws lines that it left unchanged for two calls.
 */
import xterm, { type IBuffer, type IMarker } from '@xterm/headless';
import { joinedLines, withoutBlankEnds, type ScreenLine } from './screen-lines.ts';
import { TextPieces } from './text-pieces.ts';

export interface Size {
  readonly cols: number;
  readonly rows: number;
}

export interface ScreenEvents {
  /** Called with text to append to the text that was emitted before. */
  readonly onText: (text: string) => void;
  /** Called with the terminal's answers to the program, such as its cursor position or its type. */
  readonly onReply: (data: string) => void;
}

/**
 * More rows than one piece (text-pieces.ts) can scroll out, so that each line is emitted before it leaves the
 * scrollback.
 */
const SCROLLBACK = 20_000;
/** How many consecutive blank lines are kept. */
const BLANK_LINES_KEPT = 2;
const ALTERNATE_MODES: readonly unknown[] = [47, 1047, 1049];
/** The final bytes of CSI sequences that move the cursor to another row, or change rows other than the cursor's row. */
const ADDRESSING_FINALS = ['A', 'F', 'H', 'f', 'd', 'J', 'L', 'M', 'S', 'T', 'r', 'u'];

/** A line that was emitted while the program could still change it. */
interface EmittedLine {
  readonly at: IMarker;
  readonly text: string;
}

export class EmulatedScreen {
  readonly #terminal: InstanceType<typeof xterm.Terminal>;
  readonly #events: ScreenEvents;
  /** The first line that has not scrolled out. `undefined` stands for the first line of the buffer. */
  #border: IMarker | undefined;
  #emitted: EmittedLine[] = [];
  /** The cursor's position at the previous call of `settleQuiet`. */
  #quiet: IMarker | undefined;
  #addressed = false;
  #anyText = false;
  #blankLines = 0;
  /**
   * The content of the alternate screen before the program erased it, because programs erase it immediately before they
   * leave it.
   */
  #erased: string[] = [];
  /**
   * The first line of the alternate screen at the last cursor movement. A line feed at the bottom scrolls this line
   * out.
   */
  #top = '';
  #feeds = 0;
  #pending = 0;
  readonly #pieces = new TextPieces();

  constructor({ cols, rows }: Size, events: ScreenEvents) {
    this.#events = events;
    this.#terminal = new xterm.Terminal({
      cols,
      rows,
      scrollback: SCROLLBACK,
      allowProposedApi: true,
      logLevel: 'off',
    });
    this.#terminal.onData((data) => events.onReply(data));
    this.#terminal.onLineFeed(() => (this.#feeds += 1));
    this.#listen();
  }

  /** The number of characters that were written and are not interpreted yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Whether any text was emitted. */
  get anyText(): boolean {
    return this.#anyText;
  }

  write(text: string): void {
    for (const piece of this.#pieces.add(text)) this.#interpret(piece);
  }

  /** Resolves when everything that was written is interpreted. */
  async interpreted(): Promise<void> {
    this.#interpret(this.#pieces.end());
    await new Promise<void>((resolve) => this.#terminal.write('', resolve));
  }

  /** Resizes the terminal after everything that was written before is interpreted. */
  async resize({ cols, rows }: Size): Promise<void> {
    await this.interpreted();
    this.#terminal.resize(cols, rows);
    this.#settleScrolledOut();
  }

  /** Emits the lines that no longer change. Called at an interval while the program runs. */
  settleQuiet(): void {
    if (this.#isAlternate) return;
    if (!this.#addressed && this.#quiet && !this.#quiet.isDisposed) this.#emitAbove(this.#quiet.line);
    this.#quiet?.dispose();
    this.#quiet = this.#terminal.registerMarker(0);
  }

  /** Emits the lines above the cursor now, because content of another kind follows them. */
  settleAboveCursor(): void {
    if (!this.#isAlternate) this.#emitAbove(cursorRow(this.#terminal.buffer.normal));
  }

  /** Returns the last `count` lines in their current state, up to the cursor's line. */
  lastLines(count: number): string[] {
    const buffer = this.#terminal.buffer.active;
    const cursor = cursorRow(buffer);
    const lines = this.#lines(buffer, { from: Math.max(0, cursor - 4 * count), to: cursor + 1 });
    return lines.slice(-count).map(({ text }) => text);
  }

  /** Returns the lines that a person sees now. */
  visibleLines(): string[] {
    const { active } = this.#terminal.buffer;
    return this.#lines(active, { from: active.baseY, to: active.length }).map(({ text }) => text);
  }

  /**
   * The cursor's row, counted from the first row of the buffer. If two reads give the same number, the program began no
   * new line in between.
   */
  get cursorRow(): number {
    return cursorRow(this.#terminal.buffer.active);
  }

  /** Emits the remaining lines and disposes of the terminal. */
  async finish(): Promise<void> {
    await this.interpreted();
    const inAlternate = this.#isAlternate;
    const buffer = this.#terminal.buffer.normal;
    if (inAlternate) this.#leaveAlternate();
    else this.#emitLines(this.#lines(buffer, { from: this.#borderRow, to: buffer.length }));
    this.#terminal.dispose();
  }

  #interpret(piece: string): void {
    if (piece === '') return;
    this.#pending += piece.length;
    this.#terminal.write(piece, () => {
      this.#pending -= piece.length;
      this.#settleScrolledOut();
    });
  }

  get #isAlternate(): boolean {
    return this.#terminal.buffer.active.type === 'alternate';
  }

  get #borderRow(): number {
    return this.#border === undefined || this.#border.isDisposed ? 0 : this.#border.line;
  }

  #listen(): void {
    const { parser } = this.#terminal;
    for (const final of ADDRESSING_FINALS)
      parser.registerCsiHandler({ final }, (params) => this.#address(final, params));
    for (const final of ['M', '8']) parser.registerEscHandler({ final }, () => this.#address(final, []));
    parser.registerCsiHandler({ prefix: '?', final: 'h' }, (params) => {
      if (!this.#isAlternate && params.some((one) => ALTERNATE_MODES.includes(one))) this.#enterAlternate();
      return false;
    });
    parser.registerCsiHandler({ prefix: '?', final: 'l' }, (params) => {
      if (this.#isAlternate && params.some((one) => ALTERNATE_MODES.includes(one))) this.#leaveAlternate();
      return false;
    });
    // A reset (RIS) removes the scrollback, so the lines that scrolled out are emitted before it.
    parser.registerEscHandler({ final: 'c' }, () => {
      if (this.#isAlternate) this.#leaveAlternate();
      this.#settleScrolledOut();
      this.#border?.dispose();
      this.#border = undefined;
      for (const { at } of this.#emitted) at.dispose();
      this.#emitted = [];
      this.#addressed = true;
      return false;
    });
  }

  /**
   * Notes that the program moved the cursor. Returns true for a sequence that the terminal must not execute, because it
   * would erase the scrollback, which a person has already read.
   */
  #address(final: string, params: readonly (number | number[])[]): boolean {
    const { active } = this.#terminal.buffer;
    const erasesScreen =
      final === 'J' && (params[0] === 2 || (params[0] !== 1 && active.cursorX + active.cursorY === 0));
    if (this.#isAlternate) this.#noteAlternate(erasesScreen);
    // If the cursor is in the first row, there is no line above it that the program could change.
    if (!this.#isAlternate && cursorRow(active) > 0) this.#addressed = true;
    return final === 'J' && params[0] === 3;
  }

  #noteAlternate(isErased: boolean): void {
    if (isErased) this.#erased = withoutBlankEnds(this.visibleLines());
    this.#top = this.#terminal.buffer.active.getLine(0)?.translateToString(true).trimEnd() ?? '';
    this.#feeds = 0;
  }

  #enterAlternate(): void {
    this.#settleScrolledOut();
    this.settleAboveCursor();
    this.#erased = [];
  }

  #leaveAlternate(): void {
    const { cursorX, cursorY } = this.#terminal.buffer.active;
    const shown = this.visibleLines();
    // vim sends a line feed at the bottom before it leaves the alternate screen. The line feed scrolls the first line
    // out, so that line is added again.
    const isFed = this.#feeds === 1 && cursorX === 0 && cursorY === this.#terminal.rows - 1 && shown.at(-1) === '';
    const state = withoutBlankEnds(isFed ? [this.#top, ...shown] : shown);
    const last = state.length > 0 ? state : this.#erased;
    this.#erased = [];
    for (const text of last) this.#emit(text);
  }

  #settleScrolledOut(): void {
    if (this.#isAlternate) return; // the normal screen does not change while the alternate screen is active
    const { normal } = this.#terminal.buffer;
    const from = this.#borderRow;
    if (normal.baseY <= from) return;
    const lines = this.#lines(normal, { from, to: normal.baseY });
    // The rest of a line that the terminal wrapped may still be on the screen.
    const whole = normal.getLine(normal.baseY)?.isWrapped === true ? lines.slice(0, -1) : lines;
    const last = whole.at(-1);
    if (last === undefined) return;
    this.#emitLines(whole);
    this.#border?.dispose();
    this.#border = this.#markerAt(last.to);
    this.#emitted = this.#emitted.filter(({ at }) => {
      const stays = !at.isDisposed && at.line >= last.to;
      if (!stays) at.dispose();
      return stays;
    });
  }

  /** Emits the lines from the border to `row`, and records them, because the program may still change them. */
  #emitAbove(row: number): void {
    const { normal } = this.#terminal.buffer;
    const begun = startOfLine(normal, row);
    const lines = this.#lines(normal, { from: this.#borderRow, to: begun });
    const known = new Set(this.#emitted.map(({ at }) => at.line));
    for (const line of lines.filter(({ from }) => !known.has(from))) {
      const at = this.#markerAt(line.from);
      if (at) this.#emitted.push({ at, text: line.text });
      this.#emit(line.text);
    }
  }

  #emitLines(lines: readonly ScreenLine[]): void {
    const before = new Map(this.#emitted.map(({ at, text }) => [at.line, text]));
    for (const { from, text } of lines) if (before.get(from) !== text) this.#emit(text);
  }

  #emit(line: string): void {
    if (line === '') {
      this.#blankLines += 1;
      return;
    }
    const blank = this.#anyText ? Math.min(this.#blankLines, BLANK_LINES_KEPT) : 0;
    this.#blankLines = 0;
    this.#events.onText((this.#anyText ? '\n'.repeat(blank + 1) : '') + line);
    this.#anyText = true;
  }

  #lines(buffer: IBuffer, rows: { from: number; to: number }): ScreenLine[] {
    return joinedLines(buffer, { ...rows, cols: this.#terminal.cols });
  }

  /** Returns `undefined` in the alternate screen. */
  #markerAt(row: number): IMarker | undefined {
    return this.#terminal.registerMarker(row - cursorRow(this.#terminal.buffer.normal));
  }
}

const cursorRow = ({ baseY, cursorY }: IBuffer): number => baseY + cursorY;

function startOfLine(buffer: IBuffer, row: number): number {
  let start = row;
  while (start > 0 && buffer.getLine(start)?.isWrapped === true) start -= 1;
  return start;
}
