/**
 * The one way to cut text. A cut lies between code points: half a surrogate pair becomes U+FFFD in Postgres and in UTF-8,
 * and the character is lost. Bytes are cut and decoded by the same rule.
 *
 * `limit` counts UTF-16 units, as `length` does. This file is loaded inside the workflow sandbox: no Node built-ins.
 */

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Whether a cut at `at` would separate the two halves of a pair. */
const splitsPair = (text: string, at: number): boolean => isHigh(text.charCodeAt(at - 1)) && isLow(text.charCodeAt(at));

/** The beginning: at most `limit` units. */
export function head(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return text.slice(0, splitsPair(text, limit) ? limit - 1 : limit);
}

/** The end: at most `limit` units. */
export function tail(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const from = text.length - limit;
  return text.slice(splitsPair(text, from) ? from + 1 : from);
}

/** As `head`, with … for what is left out; at most `limit` units with it. */
export function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${head(text, limit - 1)}…`;
}

/** Pieces of at most `limit` units, `limit` at least 2. */
export function* pieces(text: string, limit: number): Generator<string> {
  let rest = text;
  while (rest.length > limit) {
    const piece = head(rest, limit);
    yield piece;
    rest = rest.slice(piece.length);
  }
  if (rest !== '') yield rest;
}

/** UTF-8 whose end was cut off: a character that is not whole at the end is left out. */
export function decodeHead(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** UTF-8 whose beginning was cut off: a character that is not whole at the beginning is left out. */
export function decodeTail(bytes: Uint8Array): string {
  let from = 0;
  while (from < 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(from));
}

/**
 * Joins what a sender cut in the middle of a pair: the first half is held until the text that follows it comes. One
 * for each stream of text.
 */
export class PairJoiner {
  #held = '';

  /** What can be passed on now; perhaps nothing. */
  join(text: string): string {
    const all = this.#held + text;
    this.#held = isHigh(all.charCodeAt(all.length - 1)) ? all.slice(-1) : '';
    return this.#held === '' ? all : all.slice(0, -1);
  }
}
