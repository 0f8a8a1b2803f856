/**
 * Lets the text of a task begin with a dash ("- fix the list"). Commander treats such a word as an option. No option's
 * name contains a space, so a word with a space is text. Such a word is marked before commander reads the words, and
 * the mark is removed where the text is read.
 */
import type { Command } from 'commander';

/** The mark. No argument of a process can contain this character. */
const MARK = '\u0000';
const COMMANDS_WITH_TEXT: readonly string[] = ['run', 'submit', 'send', 'reply', 'queue add', 'queue edit'];

/** Returns the name of the typed command if it takes a text. `words` has the arguments after `longhaul`. */
export const commandWithText = (words: readonly string[]): string | undefined =>
  COMMANDS_WITH_TEXT.find((name) => name.split(' ').every((part, at) => words[at] === part));

/**
 * Returns the arguments with a mark before each text that begins with a dash. `words` has the arguments after
 * `longhaul`.
 */
export function markTexts(program: Command, words: readonly string[]): string[] {
  const names = commandWithText(words)?.split(' ') ?? [];
  const command = names.reduce<Command | undefined>(
    (parent, name) => parent?.commands.find((one) => one.name() === name),
    program,
  );
  const end = words.indexOf('--');
  if (!command || names.length === 0) return [...words];
  return words.map((word, at) => {
    if (end !== -1 && at >= end) return word;
    return isText(command, word) && !takesValue(command, words[at - 1]) ? MARK + word : word;
  });
}

/** Removes the mark that `markTexts` has put before the text. */
export const unmarked = (word: string): string => (word.startsWith(MARK) ? word.slice(MARK.length) : word);

/** Returns whether a word is text. `--name=value` of an existing option is not, even if the value contains spaces. */
function isText(command: Command, word: string): boolean {
  const [name = ''] = word.split('=', 1);
  return word.startsWith('-') && /\s/.test(word) && !command.options.some((option) => option.long === name);
}

function takesValue(command: Command, word: string | undefined): boolean {
  return (
    word !== undefined &&
    command.options.some((option) => option.required && (option.short === word || option.long === word))
  );
}
