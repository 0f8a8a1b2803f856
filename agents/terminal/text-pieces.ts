/**
 * Splits text into pieces for the terminal's parser. The parser joins the parts of one character (an accent, the parts
 * of an emoji) only within one write, so no piece ends inside a character that may continue.
 */
import { head } from '../../contract/cut-text.ts';

const PIECE_UNITS = 4_096;
/**
 * The longest text that is held back. No real character is longer. The limit matters for output that consists of
 * combining marks only.
 */
const HELD_UNITS = 64;
/** The last character, unless it is ASCII. The next text may continue this character. */
const LAST_CHARACTER = /[^\0-\x7f](?:\p{M}|\u200d|\p{Emoji_Modifier}|(?<=\u200d)[^\0-\x7f])*$/u;

export class TextPieces {
  #held = '';

  /** Yields the pieces that can be parsed now. */
  *add(text: string): Generator<string> {
    let rest = this.#held + text;
    this.#held = '';
    while (rest !== '') {
      const piece = head(rest, PIECE_UNITS);
      const held = LAST_CHARACTER.exec(piece)?.[0] ?? '';
      const isHeld = held.length <= HELD_UNITS && (held.length < piece.length || piece.length === rest.length);
      const whole = isHeld ? piece.slice(0, piece.length - held.length) : piece;
      const isLast = piece.length === rest.length;
      if (whole !== '') yield whole;
      if (isLast) {
        this.#held = isHeld ? held : '';
        return;
      }
      rest = rest.slice(whole.length);
    }
  }

  /** Returns the text that was held back. Call it when no more text is expected. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}
