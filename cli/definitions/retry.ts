/** Defines the arguments and options of `longhaul retry`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerRetry(program: Command): void {
  const command = program
    .command('retry')
    .argument('<task>', 'an ended task; id, or the beginning of one')
    .option('--json', 'print the new task as JSON')
    .action(lazily(async () => (await import('../retry.ts')).retryAction));
  withExamples(command, ['longhaul retry 1a2b3c4d', 'prints the id of the new task']);
}
