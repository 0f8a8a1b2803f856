/** The screen of a terminal: a few live lines, which are redrawn when they change, are below the lines that stay. */
import { GatheredLines } from './gathered-lines.ts';
import { muteKeyboard } from './keyboard.ts';
import { lineColumns, type LiveLine, type Output, type Screen } from './screen.ts';
import { fit, wrapIndented, type Paint, type Style, wrap } from './terminal.ts';

// Synchronized output: a terminal that supports it never shows an incomplete drawing. Other terminals ignore it.
const BEGIN = '\u001b[?2026h\u001b[?25l';
const FINISH = '\u001b[?2026l';
const SHOW_CURSOR = '\u001b[?25h';
/**
 * Writes a space and clears from the second column on. If a clear begins in the first row and column, tmux moves the
 * cleared lines into its history. In a window of one or two rows, each drawing would remain there.
 */
const CLEAR_BELOW = '\r \u001b[J\r';
const NO_WRAP = '\u001b[?7l';
const WRAP = '\u001b[?7h';
/** Values of TERM_PROGRAM for terminals that use xterm.js. */
const XTERM_JS: readonly string[] = ['vscode', 'Hyper', 'Tabby'];
const REDRAW_MS = 100;

/**
 * The live lines are below the cursor, which always returns to the beginning of the first live line. So one "clear
 * below the cursor" removes them, however the terminal has wrapped or cut them. A count of rows to move up would be
 * wrong, because a resized terminal moves its cursor with the text. While lines are drawn the terminal cuts instead of
 * wrapping: a drawing that was sent before the screen became narrower takes as many rows as before.
 *
 * xterm.js alone moves the cursor down by one row for each row that it adds below the cursor when a screen becomes
 * narrower. In xterm.js the live lines after the first take half the width, so that none of them wraps unless the
 * screen loses more than half of its columns at once.
 */
class LiveScreen implements Screen {
  readonly #out: Output;
  readonly #paint: Paint;
  readonly #lines = new GatheredLines();
  readonly #keyboard: { end(): void };
  readonly #ticking: NodeJS.Timeout;
  readonly #redraw = (): void => this.#draw([]);
  readonly #leave = (): void => this.#clear();
  #bottom: () => readonly LiveLine[] = () => [];
  #hidden = false;
  #typed: (key: string) => void = () => {};
  readonly #isXtermJs = XTERM_JS.includes(process.env['TERM_PROGRAM'] ?? '');

  constructor(out: Output, paint: Paint) {
    this.#out = out;
    this.#paint = paint;
    this.#keyboard = muteKeyboard({
      stopping: () => {
        this.#hidden = true;
        this.#clear();
      },
      continued: () => {
        this.#hidden = false;
        this.#redraw();
      },
      typed: (key) => this.#typed(key),
    });
    this.#ticking = setInterval(this.#redraw, REDRAW_MS);
    out.on?.('resize', this.#redraw);
    process.once('exit', this.#leave);
  }

  text(chunk: string, style?: Style): void {
    this.#draw(this.#lines.add(chunk, style));
  }

  line(text: string, style?: Style): void {
    this.#draw([...this.#lines.flush(), { text, ...(style ? { style } : {}) }]);
  }

  live(lines: () => readonly LiveLine[]): void {
    this.#bottom = lines;
    this.#redraw();
  }

  onKey(listener: (key: string) => void): void {
    this.#typed = listener;
  }

  redraw(): void {
    this.#redraw();
  }

  end(): void {
    clearInterval(this.#ticking);
    this.#out.off?.('resize', this.#redraw);
    process.off('exit', this.#leave);
    this.#keyboard.end();
    this.#bottom = () => [];
    this.#draw(this.#lines.flush());
    this.#clear();
  }

  #clear(): void {
    this.#out.write(`${CLEAR_BELOW}${SHOW_CURSOR}`);
  }

  #draw(ready: readonly LiveLine[]): void {
    const columns = lineColumns(this.#out);
    const staying = [
      ...ready.flatMap(({ text, ...style }) => wrapIndented(text, columns).map((part) => ({ ...style, text: part }))),
      ...this.#fullLines(columns),
    ];
    const rest = this.#lines.rest;
    const room = Math.max(1, (this.#out.rows ?? 24) - 2);
    const live = [...(rest.text === '' ? [] : [rest]), ...this.#bottom()].slice(-room);
    const below = this.#isXtermJs ? Math.floor(columns / 2) : columns;
    const cut = live.map((line, at) => ({ ...line, text: fit(line.text, at === 0 ? columns : below) }));
    const shown = this.#hidden ? [] : cut;
    const back = shown.length > 1 ? `\u001b[${shown.length - 1}A\r` : '\r';
    const kept = staying.map((line) => `${this.#painted(line)}\r\n`).join('');
    const drawn = shown.map((line) => this.#painted(line)).join('\r\n');
    const cursor = this.#hidden ? SHOW_CURSOR : '';
    this.#out.write(`${BEGIN}${CLEAR_BELOW}${kept}${NO_WRAP}${drawn}${WRAP}${back}${cursor}${FINISH}`);
  }

  /** Returns the parts of an unfinished line that can no longer change, and keeps its last part, which can. */
  #fullLines(columns: number): LiveLine[] {
    const { text, ...style } = this.#lines.rest;
    const pieces = wrap(text, columns);
    this.#lines.keep(pieces.pop() ?? '');
    return pieces.map((piece) => ({ ...style, text: piece }));
  }

  #painted({ text, style }: LiveLine): string {
    return style ? this.#paint(style, text) : text;
  }
}

export const liveScreen = (out: Output, paint: Paint): Screen => new LiveScreen(out, paint);
