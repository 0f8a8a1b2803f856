/** Finds an agent's program by a path, or by a name on PATH. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent, not executable or not readable: not a program that we can start
  }
}

/** Absolute path of the program, or undefined. Empty and relative entries of PATH are skipped, as shells should. */
export function findCommand(command: string, path: string | undefined): string | undefined {
  if (command.includes('/')) {
    const file = resolve(command);
    return isProgram(file) ? file : undefined;
  }
  if (command === '') return undefined;
  return (path ?? '')
    .split(delimiter)
    .filter((directory) => isAbsolute(directory))
    .map((directory) => join(directory, command))
    .find(isProgram);
}
