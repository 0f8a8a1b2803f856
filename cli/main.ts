/** The command `longhaul`. Each command registers itself from a file of its own. */
import { CommanderError } from 'commander';
import { endWithoutReader, EXIT } from './exit.ts';
import { makeProgram, parseWords } from './program.ts';

endWithoutReader();
try {
  await parseWords(await makeProgram());
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version were asked for; all else is wrong usage, and has been said.
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
}
