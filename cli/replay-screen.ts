/** Puts a person's terminal back as it was, whatever a recording that was played in it ends with. */

/* oxlint-disable no-control-regex -- finding them is the point */
const PRIVATE_MODES = /\u001b\[\?([\d;]+)([hl])/g;
const ALTERNATE = ['47', '1047', '1049'];
const ORIGIN = '6';
/**
 * Modes of mouse, focus, paste and synchronized output off, wrapping and the cursor on, ordinary keys, letters and colours. Then
 * the scroll region: to reset it moves the cursor to the first row, so that the cursor's place is saved around it.
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

  /** Called with all that is written to the terminal. */
  note(text: string): void {
    this.#hasRegion ||= REGION.test(text);
    for (const [, modes = '', final] of text.matchAll(PRIVATE_MODES)) {
      for (const mode of modes.split(';')) {
        if (ALTERNATE.includes(mode)) this.#alternate = final === 'h' ? mode : undefined;
        if (mode === ORIGIN) this.#origin = final === 'h';
      }
    }
  }

  /** What ends a replay, also an interrupted one. The cursor moves only where the recording needs it. */
  restore(): string {
    const alternate = this.#alternate === undefined ? '' : `\u001b[?${this.#alternate}l`;
    const origin = this.#origin ? '\u001b[?6l' : '';
    // A region was set from its first row on, so that what is below may be the recording's or the shell's.
    const row = (this.#hasRegion && this.#alternate === undefined) || this.#origin ? TO_LAST_ROW : '';
    return `${alternate}${origin}${RESET}${row}\r\n`;
  }
}
