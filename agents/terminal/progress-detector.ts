/**
 * Detects on a program's screen whether the program makes progress. Output alone does not show progress: a spinner also
 * turns while the program waits for a server that never responds, and then the driver's stall timeout would never end
 * the turn.
 *
 * A sign of progress is a line with words that the screen did not show before. Symbols, bars and spaces are not words,
 * so a spinner counts once, even if it repeats a list of words. Changed numbers (a percentage, a size) count too, but
 * only for a limited time after the last new words, because the seconds of a clock cannot be distinguished from the
 * percents of a download.
 */
const COUNTING_MS = 30 * 60 * 1000;
/** When a program has shown more different lines than this, the record of known lines is cleared. */
const KEPT_LINES = 20_000;

export class ProgressDetector {
  readonly #words = new Set<string>();
  #numbers = '';
  #newWordsAt = Number.NEGATIVE_INFINITY;

  /**
   * Returns whether the visible lines show progress since the previous call. `lines` are all lines that a person sees
   * now.
   */
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
