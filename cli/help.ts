/** Adds examples to the end of a command's help. */
import type { Command } from 'commander';

/** Adds a line `command # purpose` for each example. */
export function withExamples(command: Command, ...examples: readonly (readonly [string, string?])[]): Command {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => (what ? `  ${line.padEnd(width)}  # ${what}` : `  ${line}`));
  return command.addHelpText('after', `\n${examples.length > 1 ? 'Examples' : 'Example'}:\n${lines.join('\n')}`);
}
