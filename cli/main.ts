/** The entry point of the command `longhaul`. */
import { CommanderError } from 'commander';
import { endWithoutReader, EXIT } from './exit.ts';
import { makeProgram, parseWords } from './program.ts';

endWithoutReader();
try {
  await parseWords(await makeProgram());
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander also throws for help and version, with exit code 0. Any other of its errors is wrong usage, and was
  // already printed.
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
}
