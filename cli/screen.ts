/**
 * Where a timeline is shown. A terminal has lines that stay and, below them, a few that are drawn again as things change; a
 * pipe has only lines that stay.
 */
import { fit, type Paint, type Style, widthOf, wrap } from './terminal.ts';

export interface LiveLine {
  readonly text: string;
  readonly style?: Style;
}

export interface Screen {
  /** Text as it comes; `style` tells thoughts from answers. */
  text(chunk: string, style?: Style): void;
  /** One that stays. Text that came before ends its line. */
  line(text: string, style?: Style): void;
  /** What is shown at the bottom from now on. */
  live(lines: () => readonly LiveLine[]): void;
  /** What a screen without a bottom says when it begins, and one with a bottom shows there. */
  started?(text: string): void;
  planned?(lines: readonly string[]): void;
  /** Leaves what stays. */
  end(): void;
}

interface Output {
  write(text: string): unknown;
  readonly columns?: number;
  readonly rows?: number;
}

/** Whole lines of text, gathered from chunks. */
class Lines {
  #rest = '';
  #style: Style | undefined;

  get rest(): LiveLine {
    return { text: this.#rest, ...(this.#style ? { style: this.#style } : {}) };
  }

  add(chunk: string, style: Style | undefined): LiveLine[] {
    const done = style === this.#style ? [] : this.flush();
    this.#style = style;
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    return [...done, ...lines.map((text) => ({ text, ...(style ? { style } : {}) }))];
  }

  flush(): LiveLine[] {
    const { rest } = this;
    this.#rest = '';
    return rest.text === '' ? [] : [rest];
  }

  /** Gives the beginning of a long line away. */
  keep(text: string): void {
    this.#rest = text;
  }
}

export function plainScreen(out: Output): Screen {
  const lines = new Lines();
  const print = (ready: readonly LiveLine[]): void => {
    for (const { text, style } of ready) out.write(`${style === 'dim' && text !== '' ? `· ${text}` : text}\n`);
  };
  return {
    text: (chunk, style) => print(lines.add(chunk, style)),
    line: (text) => print([...lines.flush(), { text }]),
    live: () => {},
    started: (text) => print([...lines.flush(), { text }]),
    planned: (entries) => print([...lines.flush(), ...entries.map((text) => ({ text: `  ${text}` }))]),
    end: () => print(lines.flush()),
  };
}

// Synchronized output keeps terminals that know it from showing half a picture; others ignore it.
const BEGIN = '\u001b[?2026h\u001b[?25l';
const FINISH = '\u001b[?2026l';
const SHOW_CURSOR = '\u001b[?25h';
const REDRAW_MS = 100;

export function liveScreen(out: Output, paint: Paint): Screen {
  const lines = new Lines();
  let bottom: () => readonly LiveLine[] = () => [];
  let drawn = 0;
  const columns = (): number => Math.max(20, (out.columns ?? 80) - 1);
  const painted = ({ text, style }: LiveLine): string => (style ? paint(style, text) : text);

  const draw = (ready: readonly LiveLine[]): void => {
    const up = drawn > 0 ? `\r${drawn > 1 ? `\u001b[${drawn - 1}A` : ''}\u001b[J` : '';
    const staying = ready.flatMap((line) => wrap(line.text, columns()).map((text) => painted({ ...line, text })));
    const room = Math.max(2, (out.rows ?? 24) - 2);
    const shown = [
      ...(lines.rest.text === '' ? [] : [painted(lines.rest)]),
      ...bottom().map((line) => painted({ ...line, text: fit(line.text, columns()) })),
    ].slice(-room);
    drawn = shown.length;
    out.write(`${BEGIN}${up}${staying.map((line) => `${line}\n`).join('')}${shown.join('\n')}${FINISH}`);
  };
  const ticking = setInterval(() => draw([]), REDRAW_MS);

  return {
    text(chunk, style) {
      const ready = lines.add(chunk, style);
      // Of a line that is still being written only its last piece can be drawn again.
      if (widthOf(lines.rest.text) > columns()) {
        const pieces = wrap(lines.rest.text, columns());
        const last = pieces.pop() ?? '';
        ready.push(...pieces.map((text) => ({ text, ...(style ? { style } : {}) })));
        lines.keep(last);
      }
      draw(ready);
    },
    line: (text, style) => draw([...lines.flush(), { text, ...(style ? { style } : {}) }]),
    live(next) {
      bottom = next;
      draw([]);
    },
    end() {
      clearInterval(ticking);
      bottom = () => [];
      draw(lines.flush());
      out.write(SHOW_CURSOR);
    },
  };
}
