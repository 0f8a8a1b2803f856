/**
 * The imports of a TypeScript source, read by its tokens: comments, strings, templates and regular expressions are
 * told apart, so that a word in one of them is no import.
 *
 * A CommonJS package is also found where it is loaded by `createRequire(import.meta.url)('name')`.
 * Not covered: any other `require`, and files that are found by path (`new URL('./x.ts', import.meta.url)`).
 */

export interface Import {
  /** Undefined: a dynamic import of something that only the running program knows. */
  readonly specifier: string | undefined;
  /** `import type` or `export type`: nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

type Token =
  | { readonly kind: 'word' | 'mark'; readonly text: string }
  /** A string, or a template without expressions. */
  | { readonly kind: 'string'; readonly text: string };

const SPACE = /\s+|\/\/.*|\/\*[^]*?\*\//y;
const WORD = /[\p{ID_Start}$_#@][\p{ID_Continue}$\u200c\u200d]*|\d[\w.]*/uy;
const STRING = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y;
const TEMPLATE_PART = /(?:[^`\\$]|\\[^]|\$(?!\{))*/y;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** After these a slash begins a regular expression, after other words it divides. */
const BEFORE_REGEX = /^(?:return|typeof|case|do|else|in|of|void|delete|throw|new|await|yield|instanceof)$/;

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each open brace: whether it is `${` of a template, which continues after it is closed. */
  const braces: boolean[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const template = (): void => {
    const text = take(TEMPLATE_PART) ?? '';
    if (source[at] === '`') {
      at += 1;
      tokens.push({ kind: 'string', text });
    } else {
      at += 2;
      braces.push(true);
      tokens.push({ kind: 'mark', text: '${' });
    }
  };
  const regexMayBegin = (): boolean => {
    const last = tokens.at(-1);
    if (last === undefined) return true;
    return last.kind === 'word' ? BEFORE_REGEX.test(last.text) : last.kind === 'mark' && !/^[)\]}]$/.test(last.text);
  };
  while (at < source.length) {
    if (take(SPACE)) continue;
    const string = take(STRING);
    if (string !== undefined) {
      tokens.push({ kind: 'string', text: string.slice(1, -1) });
      continue;
    }
    const word = take(WORD);
    if (word !== undefined) {
      tokens.push({ kind: 'word', text: word });
      continue;
    }
    const mark = source[at] ?? '';
    if (mark === '/' && regexMayBegin() && take(REGEX)) {
      tokens.push({ kind: 'string', text: '' });
      continue;
    }
    at += 1;
    if (mark === '`') template();
    else if (mark === '}' && braces.pop()) template();
    else {
      if (mark === '{') braces.push(false);
      tokens.push({ kind: 'mark', text: mark });
    }
  }
  return tokens;
}

/** Between `createRequire` and the name of what it loads at once. */
const REQUIRED = ['(', 'import', '.', 'meta', '.', 'url', ')', '('];

export function importsOf(source: string): Import[] {
  const tokens = tokensOf(source);
  const is = (index: number, text: string): boolean => tokens[index]?.kind !== 'string' && tokens[index]?.text === text;
  const stringAt = (index: number): string | undefined =>
    tokens[index]?.kind === 'string' ? tokens[index].text : undefined;
  /** Where the string of the `from` of the statement that begins here is; undefined: it has none. */
  const fromAfter = (start: number): number | undefined => {
    let depth = 0;
    for (let index = start; index < tokens.length; index += 1) {
      if (depth === 0 && is(index, 'from') && stringAt(index + 1) !== undefined) return index + 1;
      if (is(index, '{')) depth += 1;
      if (is(index, '}')) depth -= 1;
      const token = tokens[index];
      if (token?.kind === 'mark' && !/^[{},*]$/.test(token.text)) return undefined;
    }
    return undefined;
  };
  return tokens.flatMap((token, index): Import[] => {
    if (token.kind !== 'word' || is(index - 1, '.') || is(index + 1, ':')) return [];
    if (token.text === 'import') {
      const bare = stringAt(index + 1);
      if (bare !== undefined) return [{ specifier: bare, typeOnly: false }];
      if (is(index + 1, '(')) {
        const whole = is(index + 3, ')') || is(index + 3, ',');
        return [{ specifier: whole ? stringAt(index + 2) : undefined, typeOnly: false }];
      }
      const named = fromAfter(index + 1);
      if (named === undefined) return []; // import.meta
      return [{ specifier: stringAt(named), typeOnly: is(index + 1, 'type') && !is(index + 2, 'from') }];
    }
    if (token.text === 'createRequire' && REQUIRED.every((text, at) => is(index + 1 + at, text))) {
      const required = stringAt(index + 1 + REQUIRED.length);
      return required === undefined ? [] : [{ specifier: required, typeOnly: false }];
    }
    const type = is(index + 1, 'type') ? 1 : 0;
    if (token.text !== 'export' || !(is(index + 1 + type, '{') || is(index + 1 + type, '*'))) return [];
    const from = fromAfter(index + 1);
    return from === undefined ? [] : [{ specifier: stringAt(from), typeOnly: type === 1 }];
  });
}
