/**
 * Reads shell commands, as far as their text alone shows which programs they run.
 *
 * Must never happen: `plainCommands` omits a program that a shell would run for the text. So it refuses everything that
 * is not known to be harmless: substitutions, redirections, pipes, background jobs, escapes, assignments, comments,
 * groups.
 */
import { literalTokens, matchesTokens, type Token } from './wildcards.ts';

interface Piece {
  readonly text: string;
  readonly quoted: boolean;
}
/** One token of a command line. `end`: a separator, which ends one command and begins the next. */
type Read = { readonly kind: 'word'; readonly pieces: readonly Piece[] } | { readonly kind: 'end' };

const BLANK = /^[ \t]+/;
/**
 * The separators between commands. A pipe does not count as a separator, because the text that passes through it may be
 * a program that the next command runs.
 */
const END = /^(?:&&|\|\||;|\n)/;
const UNQUOTED = /^[A-Za-z0-9_@%+=:,./*?~-]+/;
const SINGLE = /^'(?<text>[^'\p{Cc}]*)'/u;
const DOUBLE = /^"(?<text>[^"$`\\\p{Cc}]*)"/u;

/** Splits the text into words and separators. Undefined: the text contains something else, such as a redirection. */
function read(text: string): Read[] | undefined {
  const found: Read[] = [];
  let pieces: Piece[] | undefined;
  const endWord = (): void => {
    if (pieces) found.push({ kind: 'word', pieces });
    pieces = undefined;
  };
  for (let rest = text; rest !== '';) {
    const blank = BLANK.exec(rest) ?? END.exec(rest);
    const quoted = SINGLE.exec(rest) ?? DOUBLE.exec(rest);
    const plain = UNQUOTED.exec(rest);
    const [taken] = blank ?? quoted ?? plain ?? [];
    if (taken === undefined) return undefined;
    if (blank) {
      endWord();
      if (!BLANK.test(taken)) found.push({ kind: 'end' });
    } else (pieces ??= []).push({ text: quoted?.groups?.['text'] ?? taken, quoted: quoted !== null });
    rest = rest.slice(taken.length);
  }
  endWord();
  return found;
}

const wordOf = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join('');
/**
 * Returns whether a shell runs the program with exactly this name. False if the shell would expand the name or read it
 * as an assignment.
 */
const isPlainName = (pieces: readonly Piece[]): boolean =>
  pieces.every((one) => one.quoted || !/[*?~=]/.test(one.text));

/**
 * Returns the words of each command of the text. The commands may be joined by `&&`, `||`, `;` or a line end. Returns
 * undefined if the text alone does not show everything that a shell would run.
 */
export function plainCommands(text: string): string[][] | undefined {
  const commands: string[][] = [];
  let words: string[] = [];
  const endCommand = (): void => {
    if (words.length > 0) commands.push(words);
    words = [];
  };
  for (const one of read(text) ?? [{ kind: 'refused' as const }]) {
    if (one.kind === 'refused') return undefined;
    if (one.kind === 'end') endCommand();
    else if (words.length === 0 && !isPlainName(one.pieces)) return undefined;
    else words.push(wordOf(one.pieces));
  }
  endCommand();
  return commands.length > 0 ? commands : undefined;
}

/**
 * Returns everything in the text that may be a command, also within quotes and substitutions. It may return too much,
 * but never less than the text shows. A text can still hide a command, for example in a variable.
 */
export function possibleCommands(text: string): string[][] {
  return text
    .split(/[;&|\n\r(){}`<>]/)
    .map((part) =>
      part
        .replaceAll(/["'\\]/g, '')
        .split(/\s+/)
        .filter(Boolean),
    )
    .filter((words) => words.length > 0);
}

/**
 * A pattern for commands: shell words, in which `*` outside of quotes matches any text. A last word `*` matches any
 * further words.
 */
export interface CommandPattern {
  readonly words: readonly (readonly Token[])[];
  readonly more: boolean;
}

/**
 * Parses a pattern. Undefined: the text is no plain command, so a rule with this text matches only commands with equal
 * text.
 */
export function commandPattern(text: string): CommandPattern | undefined {
  const found = read(text);
  const words = (found ?? []).flatMap((one) => (one.kind === 'word' ? [one.pieces] : []));
  if (!found || words.length === 0 || words.length < found.length) return undefined;
  const tokens = words.map((pieces) => pieces.flatMap(tokensOf));
  const more = tokens.length > 1 && tokens.at(-1)?.length === 1 && tokens.at(-1)?.[0] === 'many';
  return { words: more ? tokens.slice(0, -1) : tokens, more };
}

const tokensOf = ({ text, quoted }: Piece): Token[] =>
  quoted ? literalTokens(text) : literalTokens(text).map((token) => (typeof token === 'object' && token.char === '*' ? 'many' : token)); // prettier-ignore

/** Returns whether the words of a command match the pattern. */
export function matchesWords({ words, more }: CommandPattern, command: readonly string[]): boolean {
  if (command.length < words.length || (!more && command.length > words.length)) return false;
  return words.every((tokens, at) => matchesTokens(tokens, command[at] ?? ''));
}

/** Returns the pattern that matches only these words. Undefined: no pattern matches only these words. */
export function exactPattern(words: readonly string[]): string | undefined {
  const quoted = words.map((word) => {
    if (/^[A-Za-z0-9_@%+=:,./~-]+$/.test(word)) return word;
    return /['\p{Cc}]/u.test(word) ? undefined : `'${word}'`;
  });
  return quoted.includes(undefined) ? undefined : quoted.join(' ');
}
