/**
 * Whether a program's screen shows that it makes progress. Each output would be too weak a sign: a spinner turns also while the
 * program waits for a server that never answers, so that the stall clock of the driver would never end the turn.
 *
 * A sign of life is a line with words that the screen did not show before. Signs, bars and spaces are no words, so that a spinner
 * counts once, also one that repeats a list of words. Changed numbers (a percentage, a size) count, too, but only for a bounded
 * time after the last new words, because the seconds of a clock cannot be told from the percents of a download.
 */
const COUNTING_MS = 30 * 60 * 1000;
/** A program that shows more different lines than this begins anew. */
const KEPT_LINES = 20_000;

export class SignsOfLife {
  readonly #words = new Set<string>();
  #numbers = '';
  #newWordsAt = Number.NEGATIVE_INFINITY;

  /** Whether these lines, all that a person sees now, have a sign of life since the previous call. */
  in(lines: readonly string[], now: number = performance.now()): boolean {
    const counted = lines.map((line) => line.replaceAll(/\P{N}/gu, ''));
    const numbers = counted.filter((digits) => digits !== '').join('\n');
    const hasCounted = numbers !== this.#numbers;
    this.#numbers = numbers;
    if (!this.#hasNewWords(lines)) return hasCounted && now - this.#newWordsAt < COUNTING_MS;
    this.#newWordsAt = now;
    return true;
  }

  #hasNewWords(lines: readonly string[]): boolean {
    if (this.#words.size > KEPT_LINES) this.#words.clear();
    const before = this.#words.size;
    for (const line of lines) this.#words.add(line.replaceAll(/\P{L}/gu, ''));
    return this.#words.size > before;
  }
}
