/**
 * Filters recorded terminal output for a person's terminal. Sequences that move the cursor or set colours stay.
 * Sequences that set the title, write to the clipboard, or make the terminal respond (as if the person typed) are
 * removed.
 */
/* oxlint-disable no-control-regex -- finding them is the point */
const STRINGS = /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
const QUERIES = /\u001b(?:\[[?>=!]?[\d;]*(?:[cnptxyq]|\$p)|Z)|\u0005/g;
/** An incomplete sequence at the end of a chunk. Its rest is in the next chunk. */
const UNFINISHED = /\u001b(?:[\]PX^_][^\u0007\u001b]*\u001b?|\[[?>=!\d;$]*)?$/;
const HELD_CHARS = 65_536;

export class HarmlessOutput {
  #held = '';

  pass(text: string): string {
    const all = this.#held + text;
    const held = UNFINISHED.exec(all)?.[0] ?? '';
    this.#held = held.length > HELD_CHARS ? '' : held;
    return all
      .slice(0, all.length - held.length)
      .replace(STRINGS, '')
      .replace(QUERIES, '');
  }
}
