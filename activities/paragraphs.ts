/**
 * Finds where a paragraph of an agent's text begins. Agents send their text in pieces, and no piece marks the end of a
 * message: the next message begins after a tool call, under another message id, or in another attempt. The paragraph
 * break is added to the streamed text, so a reader that only appends deltas has the same text as the row.
 */

/**
 * How many characters at the end of the earlier text are kept. These characters show whether a paragraph break is
 * missing.
 */
const TAIL_CHARS = 16;

export class Paragraphs {
  #tail: string;
  #messageId: string | undefined;
  #broken: boolean;

  /** `earlier`: the text of earlier attempts. The next text begins another paragraph. */
  constructor(earlier = '') {
    this.#tail = earlier.slice(-TAIL_CHARS);
    this.#broken = true;
  }

  /** Makes the next text begin a paragraph. */
  break(): void {
    this.#broken = true;
  }

  /** Returns the text. If the text must begin a paragraph, the missing line ends precede it. */
  next(text: string, messageId?: string): string {
    if (text === '') return text;
    const isOther = messageId !== undefined && this.#messageId !== undefined && messageId !== this.#messageId;
    this.#messageId = messageId ?? this.#messageId;
    const lines = this.#broken || isOther ? this.#missing(text) : '';
    this.#broken = false;
    this.#tail = (this.#tail + lines + text).slice(-TAIL_CHARS);
    return lines + text;
  }

  #missing(text: string): string {
    if (this.#tail.trim() === '') return '';
    const there = lineEnds(/\s*$/.exec(this.#tail)?.[0]) + lineEnds(/^\s*/.exec(text)?.[0]);
    return '\n'.repeat(Math.max(0, 2 - there));
  }
}

const lineEnds = (space = ''): number => space.split('\n').length - 1;
