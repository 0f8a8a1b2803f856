/**
 * Separates reasoning from text. A model whose server does not separate them puts the reasoning before the reply as
 * `<think>…</think>`. Only a tag at the very beginning of a reply counts, because a later tag is text about tags.
 */
const OPEN = '<think>';
const CLOSE = '</think>';

export interface SeparatedText {
  readonly kind: 'text' | 'reasoning';
  readonly text: string;
}

export class ThinkTags {
  #state: 'start' | 'thinking' | 'after' | 'text' = 'start';
  #held = '';

  /**
   * Returns the pieces that are already known to be text or reasoning. Text that may be a part of a tag is held back.
   */
  push(delta: string): SeparatedText[] {
    this.#held += delta;
    const out: SeparatedText[] = [];
    if (this.#state === 'start') {
      const trimmed = this.#held.trimStart();
      if (trimmed.startsWith(OPEN)) {
        this.#state = 'thinking';
        this.#held = trimmed.slice(OPEN.length);
      } else if (!OPEN.startsWith(trimmed)) {
        this.#state = 'text';
      }
    }
    if (this.#state === 'thinking') {
      const end = this.#held.indexOf(CLOSE);
      const known = end === -1 ? this.#held.length - overlap(this.#held, CLOSE) : end;
      out.push({ kind: 'reasoning', text: this.#held.slice(0, known) });
      this.#held = this.#held.slice(end === -1 ? known : end + CLOSE.length);
      if (end !== -1) this.#state = 'after';
    }
    if (this.#state === 'after') {
      this.#held = this.#held.trimStart();
      if (this.#held !== '') this.#state = 'text';
    }
    if (this.#state === 'text') {
      out.push({ kind: 'text', text: this.#held });
      this.#held = '';
    }
    return out.filter(({ text }) => text !== '');
  }

  /** Returns the text that was held back. Call it at the end of the reply. */
  end(): SeparatedText[] {
    const kind = this.#state === 'thinking' ? 'reasoning' : 'text';
    const text = this.#held;
    this.#held = '';
    return text.trim() === '' ? [] : [{ kind, text }];
  }
}

/** Returns how many characters at the end of `text` may be the beginning of `tag`. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length -= 1) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}
