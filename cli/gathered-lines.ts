/** Gathers chunks of text into whole lines. */
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

  /**
   * Replaces the unfinished line by its last part, `text`, when the caller has emitted the beginning of a long line.
   */
  keep(text: string): void {
    this.#rest = text;
  }
}
