/**
 * Matches texts and paths against patterns with wildcards. The number of comparisons is at most the length of the text
 * times the length of the pattern.
 */

/** `char`: this character; `any`: any one character; `many`: any number of characters. */
export type Token = { readonly char: string } | 'any' | 'many';

/** Returns tokens that match only this text. */
export const literalTokens = (text: string): Token[] => Array.from(text, (char) => ({ char }));

/** Returns whether the tokens match the whole text. */
export function matchesTokens(tokens: readonly Token[], text: string): boolean {
  const chars = Array.from(text);
  return matches(tokens, chars, {
    isMany: (token) => token === 'many',
    fits: (token, char) => token === 'any' || (typeof token === 'object' && token.char === char),
  });
}

/** A part of a glob between two slashes. `deep` matches any number of parts of a path. */
type Part = 'deep' | readonly Token[];

/**
 * Returns whether the path, which is relative and has slashes, matches the glob. `*` and `?` match within a name, `**`
 * matches any number of folders, and a glob that ends in a slash matches everything below that folder. The character
 * after a backslash matches only itself.
 */
export function matchesGlob(glob: string, path: string): boolean {
  const parts = (glob.endsWith('/') ? `${glob}**` : glob).split('/').map(partOf);
  return matches(parts, path.split('/'), {
    isMany: (part) => part === 'deep',
    fits: (part, name) => part !== 'deep' && matchesTokens(part, name),
  });
}

function partOf(text: string): Part {
  if (text === '**') return 'deep';
  const tokens: Token[] = [];
  const chars = Array.from(text);
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] ?? '';
    if (char === '\\' && at + 1 < chars.length) {
      at += 1;
      tokens.push({ char: chars[at] ?? '' });
    } else tokens.push(char === '*' ? 'many' : char === '?' ? 'any' : { char });
  }
  return tokens;
}

/** Returns the glob that matches only this path. */
export const exactGlob = (path: string): string => path.replaceAll(/[\\*?]/g, String.raw`\$&`);

interface Comparison<Pattern, Item> {
  readonly isMany: (part: Pattern) => boolean;
  readonly fits: (part: Pattern, item: Item) => boolean;
}

/**
 * Matches items against a pattern. After a mismatch only the newest `many` is extended by one item, so no combination
 * is tried twice.
 */
function matches<Pattern, Item>(
  pattern: readonly Pattern[],
  items: readonly Item[],
  { isMany, fits }: Comparison<Pattern, Item>,
): boolean {
  let at = 0;
  let many: { readonly at: number; taken: number } | undefined;
  for (let item = 0; item < items.length;) {
    const part = pattern[at];
    if (part !== undefined && isMany(part)) {
      many = { at, taken: item };
      at += 1;
    } else if (part !== undefined && fits(part, items[item] as Item)) {
      at += 1;
      item += 1;
    } else if (many) {
      many.taken += 1;
      item = many.taken;
      at = many.at + 1;
    } else return false;
  }
  return pattern.slice(at).every(isMany);
}
