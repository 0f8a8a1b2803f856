/** Restores a person's terminal after a recording was played in it, in whatever state the recording ends. */

/* oxlint-disable no-control-regex -- finding them is the point */
const PRIVATE_MODES = /\u001b\[\?([\d;]+)([hl])/g;
const ALTERNATE = ['47', '1047', '1049'];
const ORIGIN = '6';
/**
 * Switches off the modes for mouse, focus, paste and synchronized output, switches on wrapping and the cursor, and
 * resets keys, character set and colours. The reset of the scroll region moves the cursor to the first row, so the
 * cursor's position is saved before and restored after it.
 */
const RESET =
  '\u001b[?1000;1002;1003;1004;1005;1006;1015l\u001b[?2004;2026l\u001b[?1l\u001b>\u001b[4l\u001b[?7h\u001b[?25h' +
  '\u001b(B\u000f\u001b[0m\u001b7\u001b[r\u001b8\u001b[0m';
const REGION = /\u001b\[[\d;]*r/;
const TO_LAST_ROW = '\u001b[999;1H';

export class ReplayScreen {
  #alternate: string | undefined;
  #origin = false;
  #hasRegion = false;

  /** Must be called with every text that is written to the terminal. */
  note(text: string): void {
    this.#hasRegion ||= REGION.test(text);
    for (const [, modes = '', final] of text.matchAll(PRIVATE_MODES)) {
      for (const mode of modes.split(';')) {
        if (ALTERNATE.includes(mode)) this.#alternate = final === 'h' ? mode : undefined;
        if (mode === ORIGIN) this.#origin = final === 'h';
      }
    }
  }

  /**
   * Returns the sequences to write after a replay, also after an interrupted one. The sequences move the cursor only if
   * the recording requires it.
   */
  restore(): string {
    const alternate = this.#alternate === undefined ? '' : `\u001b[?${this.#alternate}l`;
    const origin = this.#origin ? '\u001b[?6l' : '';
    // After a reset scroll region the cursor may be above lines of the recording or the shell, so it moves to the last
    // row.
    const row = (this.#hasRegion && this.#alternate === undefined) || this.#origin ? TO_LAST_ROW : '';
    return `${alternate}${origin}${RESET}${row}\r\n`;
  }
}
