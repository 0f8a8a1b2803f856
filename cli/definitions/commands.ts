/** Defines the arguments and options of `longhaul commands`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';
import { notEmpty } from './submission-options.ts';

export function registerCommands(program: Command): void {
  const command = program
    .command('commands')
    .argument('<agent>', 'its name; native: the native agent')
    .option(
      '--project <path>',
      "a folder in a project: with the project's own commands (default: those in an empty folder)",
      notEmpty,
    )
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../commands.ts')).commandsAction));
  withExamples(command, ['longhaul commands opencode'], ["longhaul run --agent opencode '/init'", 'runs one']);
}
