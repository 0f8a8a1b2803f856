/** Whole lines of text, gathered from chunks. */
import type { LiveLine } from './screen.ts';
import type { Style } from './terminal.ts';

export class GatheredLines {
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
