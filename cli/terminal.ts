/** Text on a terminal: colours, widths, and the removal of control sequences. */
import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';

const NAMES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
export type Style = keyof typeof NAMES;

export type Paint = (style: Style, text: string) => string;

/**
 * Paints only on a terminal, unless a variable says otherwise: https://no-color.org, https://force-color.org. NO_COLOR
 * has precedence.
 */
export function painter(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Paint {
  const on = wantsColour(stream.isTTY === true, env);
  return (style, text) => (on && text !== '' ? `\u001b[${NAMES[style]}m${text}\u001b[0m` : text);
}

function wantsColour(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  if (!isTerminal || env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  return env['TERM'] !== 'dumb';
}

/**
 * Removes the sequences that colour a text or control a terminal, because an agent's text must not move the cursor, set
 * titles or clear the screen.
 */
export const harmless = (text: string): string => visible(stripVTControlCharacters(text.replace(STRINGS, '')));

/**
 * Matches sequences that contain a text, such as a window's title: Node's function does not remove a sequence whose
 * text has a space.
 */
// oxlint-disable-next-line no-control-regex -- finding them is the point
const STRINGS = /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

/**
 * For text that arrives in pieces: splits off a possible beginning of a sequence or of a line end at the end of the
 * piece. The caller puts `begun` before the next piece.
 */
export function splitBegun(text: string): [whole: string, begun: string] {
  // oxlint-disable-next-line no-control-regex -- a sequence that sets a colour, or a title of some length
  const at = /(?:\r|\u001b(?:\[[\d;:?]*|\][^\u0007\u001b]{0,200}\u001b?)?)$/.exec(text)?.index ?? text.length;
  return [text.slice(0, at), text.slice(at)];
}

/**
 * Replaces each control character by \ufffd, for text in which each character counts, as in a diff. Exceptions: a
 * carriage return becomes a line end, and a tab becomes four spaces.
 */
export function visible(text: string): string {
  return (
    text
      .replace(/\r\n?/g, '\n')
      .replace(/\t/g, '    ')
      // oxlint-disable-next-line no-control-regex -- finding them is the point
      .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
  );
}

const SEGMENTER = new Intl.Segmenter();

/**
 * Returns the number of columns that the text takes on a terminal: two for East Asian wide characters and emoji, none
 * for combining marks.
 */
export function widthOf(text: string): number {
  // oxlint-disable-next-line no-control-regex -- printable ASCII is the common case
  return /^[\u0020-\u007e]*$/.test(text) ? text.length : stringWidth(text);
}

/** Pads as `padEnd` does, by the columns that the text takes. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)));
}

/** Returns the text in at most `columns` columns, with … in place of an omitted rest. */
export function fit(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let cut = '';
  let width = 0;
  for (const { segment } of SEGMENTER.segment(text)) {
    width += widthOf(segment);
    if (width > columns - 1) break;
    cut += segment;
  }
  return `${cut}…`;
}

/**
 * Returns lines of at most `columns` columns, broken between words. A word that is longer than a line is broken at the
 * line's end. More text may be added to the last line.
 */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  let width = 0;
  for (const { segment } of SEGMENTER.segment(text)) {
    const wide = widthOf(segment);
    if (width + wide > columns && line !== '') {
      const [full, begun] = segment === ' ' ? [line, ''] : breakLine(line);
      lines.push(full);
      line = begun;
      width = widthOf(begun);
      if (segment === ' ') continue;
    }
    line += segment;
    width += wide;
  }
  return [...lines, line];
}

/** Breaks a line before its last word, unless it has only one word. */
function breakLine(line: string): [full: string, begun: string] {
  const blank = line.lastIndexOf(' ');
  return line.slice(0, blank + 1).trim() === '' ? [line, ''] : [line.slice(0, blank), line.slice(blank + 1)];
}

/**
 * Wraps as `wrap` does. Each further line begins with the margin of the first: spaces, and the bar of a tool's output.
 */
export function wrapIndented(text: string, columns: number): string[] {
  const margin = /^ *(?:│ )?/.exec(text)?.[0] ?? '';
  const room = columns - widthOf(margin);
  if (room < columns / 2) return wrap(text, columns);
  return wrap(text.slice(margin.length), room).map((line) => margin + line);
}

/** Formats a duration, for instance `4.2 s`. */
export function seconds(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
