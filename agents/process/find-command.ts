/** Finds an agent's program by its path, or by its name on PATH. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // the file is absent, not executable or not readable, so it cannot be started
  }
}

/**
 * Returns the absolute path of the program, or `undefined` if it is not found. Skips empty and relative entries of
 * PATH, because their meaning depends on the working directory.
 */
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
