/**
 * Reads shell commands as far as their text alone shows which programs they run.
 *
 * Must never happen: `plainCommands` leaves out a program that a shell would run for the text. So everything is refused that
 * is not known to be harmless: substitutions, redirections, pipes, background, escapes, assignments, comments, groups.
 */
import { literally, matchesTokens, type Token } from './wildcards.ts';

interface Piece {
  readonly text: string;
  readonly quoted: boolean;
}
/** `end`: between two commands. */
type Read = { readonly kind: 'word'; readonly pieces: readonly Piece[] } | { readonly kind: 'end' };

const BLANK = /^[ \t]+/;
/** A pipe is no end: what it passes on may be a program for the next command. */
const END = /^(?:&&|\|\||;|\n)/;
const UNQUOTED = /^[A-Za-z0-9_@%+=:,./*?~-]+/;
const SINGLE = /^'(?<text>[^'\p{Cc}]*)'/u;
const DOUBLE = /^"(?<text>[^"$`\\\p{Cc}]*)"/u;

/** Undefined: the text has something besides plain words and ends. */
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
/** A shell would expand the name of the program, or take it for an assignment. */
const isPlainName = (pieces: readonly Piece[]): boolean =>
  pieces.every((one) => one.quoted || !/[*?~=]/.test(one.text));

/**
 * Returns the words of each command of the text, which `&&`, `||`, `;` or a line end may join. Undefined: the text alone does
 * not show all that a shell would run.
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
 * Returns all that may be a command in the text, also within quotes and substitutions. It may find too much, never less than
 * the text shows; a text can still hide a command, in a variable for example.
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

/** A pattern of a command: shell words, in which `*` outside of quotes is any text; a last word `*` is any further words. */
export interface CommandPattern {
  readonly words: readonly (readonly Token[])[];
  readonly more: boolean;
}

/** Undefined: the text is no plain command, so it matches equal text only. */
export function commandPattern(text: string): CommandPattern | undefined {
  const found = read(text);
  const words = (found ?? []).flatMap((one) => (one.kind === 'word' ? [one.pieces] : []));
  if (!found || words.length === 0 || words.length < found.length) return undefined;
  const tokens = words.map((pieces) => pieces.flatMap(tokensOf));
  const more = tokens.length > 1 && tokens.at(-1)?.length === 1 && tokens.at(-1)?.[0] === 'many';
  return { words: more ? tokens.slice(0, -1) : tokens, more };
}

const tokensOf = ({ text, quoted }: Piece): Token[] =>
  quoted ? literally(text) : literally(text).map((token) => (typeof token === 'object' && token.char === '*' ? 'many' : token)); // prettier-ignore

export function matchesWords({ words, more }: CommandPattern, command: readonly string[]): boolean {
  if (command.length < words.length || (!more && command.length > words.length)) return false;
  return words.every((tokens, at) => matchesTokens(tokens, command[at] ?? ''));
}

/** The pattern that matches these words only. Undefined: no pattern can. */
export function patternOf(words: readonly string[]): string | undefined {
  const quoted = words.map((word) => {
    if (/^[A-Za-z0-9_@%+=:,./~-]+$/.test(word)) return word;
    return /['\p{Cc}]/u.test(word) ? undefined : `'${word}'`;
  });
  return quoted.includes(undefined) ? undefined : quoted.join(' ');
}
