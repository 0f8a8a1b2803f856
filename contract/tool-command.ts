import type { ToolCall } from './vocabulary.ts';

/** Returns the whole command of a call that runs one, as one text. `undefined`: the call's input has no command. */
export function commandOf({ raw_input: input }: ToolCall): string | undefined {
  const { command, args } = fieldsOf(input);
  const more: unknown[] = Array.isArray(args) ? args : [];
  const text: unknown = Array.isArray(command) || more.length > 0 ? [command, more].flat().join(' ') : command;
  return typeof command !== 'undefined' && typeof text === 'string' && text !== '' ? text : undefined;
}

const fieldsOf = (input: unknown): Readonly<Record<string, unknown>> =>
  typeof input === 'object' && input !== null ? (input as Readonly<Record<string, unknown>>) : {};

export type CommandToRun =
  /** A command line for a shell. */
  | { readonly text: string }
  /** A program and its arguments, without a shell. */
  | { readonly argv: readonly string[] };

const SHELL = /^(?:\/(?:usr\/)?bin\/)?(?:ba|z|da)?sh$/;

/** Returns the command that the call runs. Undefined: the call's input has no command in a form that Longhaul knows. */
export function commandToRun({ raw_input: input }: ToolCall): CommandToRun | undefined {
  const { command, args } = fieldsOf(input);
  if (typeof command === 'string' && (args === undefined || args === null)) return { text: command };
  const argv: unknown[] = [command, args ?? []].flat();
  if (!argv.every((word) => typeof word === 'string') || argv.length === 0) return undefined;
  const [shell = '', option, text, ...rest] = argv;
  const isScript = SHELL.test(shell) && (option === '-c' || option === '-lc') && rest.length === 0;
  return isScript && text !== undefined ? { text } : { argv };
}

/**
 * Returns the values that the call's input gives for the folder in which the command runs. `environment` is true if the
 * input changes environment variables.
 */
export function executionContextOf({ raw_input: input }: ToolCall): {
  readonly folders: unknown[];
  readonly environment: boolean;
} {
  const fields = fieldsOf(input);
  const folders = FOLDERS.flatMap((name) =>
    fields[name] === undefined || fields[name] === null ? [] : [fields[name]],
  );
  const environment = ['env', 'environment'].some((name) => Object.keys(fieldsOf(fields[name])).length > 0);
  return { folders, environment };
}

const FOLDERS = ['cwd', 'workdir', 'working_directory', 'workingDirectory', 'directory', 'dir', 'dir_path'];
