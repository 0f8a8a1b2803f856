/** Where a text stops to be JSON. `JSON.parse` says it in words that differ from version to version, and often without a position. */

/** One token after white space. A string or number that is not complete matches nothing. */
const TOKEN =
  /[ \t\n\r]*(?:(?<open>[{[])|(?<close>[}\]])|(?<comma>,)|(?<colon>:)|(?<text>"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[ !#-[\]-\uffff]*)*")|(?<value>true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?))/y;
const SPACE = /[ \t\n\r]*/y;
const SHOWN_CHARS = 20;

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'comma' | 'end';

/** A phrase such as `"x" at line 2, column 5`. `undefined`: the text is JSON. */
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

/** What may follow that token; `undefined`: it is not expected. `open` has the brackets that are not closed yet. */
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
