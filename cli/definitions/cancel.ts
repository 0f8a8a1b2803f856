/** Defines the arguments and options of `longhaul cancel`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerCancel(program: Command): void {
  const command = program
    .command('cancel')
    .argument('<task>', 'id, or the beginning of one')
    .option('--reason <text>', 'shown in the summary of the task')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../cancel.ts')).cancelAction));
  withExamples(command, ['longhaul cancel 1a2b3c4d'], ['longhaul cancel 1a2b3c4d --reason "wrong branch"']);
}
