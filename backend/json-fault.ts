/**
 * Finds where a text stops being JSON. The message of `JSON.parse` differs between versions of Node and often has no
 * position.
 */

/** Matches one token after white space. An incomplete string or number matches nothing. */
const TOKEN =
  /[ \t\n\r]*(?:(?<open>[{[])|(?<close>[}\]])|(?<comma>,)|(?<colon>:)|(?<text>"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*")|(?<value>true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?))/y;
const SPACE = /[ \t\n\r]*/y;
const SHOWN_CHARS = 20;

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'comma' | 'end';

/** Returns a phrase such as `"x" at line 2, column 5`, or undefined if the text is JSON. */
export function jsonFault(text: string): string | undefined {
  const open: string[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.groups;
    const next: Expected | undefined = token && after(expected, token, open);
    if (next === undefined) break;
    expected = next;
    at = TOKEN.lastIndex;
  }
  SPACE.lastIndex = at;
  at += SPACE.exec(text)?.[0].length ?? 0;
  if (at < text.length) return `${JSON.stringify(text.slice(at, at + SHOWN_CHARS))} at ${placeOf(text, at)}`;
  return expected === 'end' ? undefined : `its end at ${placeOf(text, at)}`;
}

/**
 * Returns what may follow the token, or undefined if the token is not expected here. `open` has the brackets that are
 * not closed yet.
 */
function after(
  expected: Expected,
  token: Readonly<Record<string, string | undefined>>,
  open: string[],
): Expected | undefined {
  const takesValue = expected === 'value' || expected === 'value or ]';
  const takesKey = expected === 'key' || expected === 'key or }';
  const done = (): Expected => (open.length === 0 ? 'end' : 'comma');
  if (token['open'] !== undefined && takesValue) {
    open.push(token['open']);
    return token['open'] === '{' ? 'key or }' : 'value or ]';
  }
  if (token['text'] !== undefined && takesKey) return 'colon';
  if ((token['text'] ?? token['value']) !== undefined && takesValue) return done();
  if (token['colon'] !== undefined && expected === 'colon') return 'value';
  if (token['comma'] !== undefined && expected === 'comma') return open.at(-1) === '{' ? 'key' : 'value';
  const closes = token['close'] === '}' ? '{' : '[';
  const mayClose = expected === 'comma' || expected === (closes === '{' ? 'key or }' : 'value or ]');
  if (token['close'] === undefined || !mayClose || open.at(-1) !== closes) return undefined;
  open.pop();
  return done();
}

function placeOf(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n');
  return `line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`;
}
