/**
 * Recorded terminal output that may be shown in a person's terminal: what moves the cursor and colours stays; what sets the
 * title, writes the clipboard, or makes the terminal answer (as if the person typed) is left out.
 */
/* oxlint-disable no-control-regex -- finding them is the point */
const STRINGS = /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
const QUERIES = /\u001b(?:\[[?>=!]?[\d;]*(?:[cnptxyq]|\$p)|Z)|\u0005/g;
/** A sequence at the end whose rest is in the next piece. */
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
