/**
 * Cuts text. All code that cuts text uses these functions, because they cut between code points: half a surrogate pair
 * becomes U+FFFD in Postgres and in UTF-8, so the character would be lost. `decodeHead` and `decodeTail` apply the same
 * rule to bytes.
 *
 * `limit` counts UTF-16 units, as `length` does. The workflow sandbox loads this file, so it uses no Node built-ins.
 */

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Returns whether a cut at `at` separates the two halves of a surrogate pair. */
const splitsPair = (text: string, at: number): boolean => isHigh(text.charCodeAt(at - 1)) && isLow(text.charCodeAt(at));

/** Returns the beginning of the text: at most `limit` units. */
export function head(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return text.slice(0, splitsPair(text, limit) ? limit - 1 : limit);
}

/** Returns the end of the text: at most `limit` units. */
export function tail(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const from = text.length - limit;
  return text.slice(splitsPair(text, from) ? from + 1 : from);
}

/** Returns the beginning of the text, with … in place of the rest: at most `limit` units, including the … character. */
export function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${head(text, limit - 1)}…`;
}

/** Yields pieces of at most `limit` units. `limit` must be at least 2, so that a surrogate pair fits into a piece. */
export function* pieces(text: string, limit: number): Generator<string> {
  let rest = text;
  while (rest.length > limit) {
    const piece = head(rest, limit);
    yield piece;
    rest = rest.slice(piece.length);
  }
  if (rest !== '') yield rest;
}

/** Decodes UTF-8 whose end was cut off. It omits an incomplete character at the end. */
export function decodeHead(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** Decodes UTF-8 whose beginning was cut off. It omits an incomplete character at the beginning. */
export function decodeTail(bytes: Uint8Array): string {
  let from = 0;
  while (from < 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(from));
}

/**
 * Joins a surrogate pair that a sender split between two texts. It keeps the first half until the next text arrives.
 * Each stream of text needs its own joiner.
 */
export class PairJoiner {
  #held = '';

  /** Returns the text that can be forwarded now. The result may be empty. */
  join(text: string): string {
    const all = this.#held + text;
    this.#held = isHigh(all.charCodeAt(all.length - 1)) ? all.slice(-1) : '';
    return this.#held === '' ? all : all.slice(0, -1);
  }
}
