/** Defines the arguments and options of `longhaul rm`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerRm(program: Command): void {
  const command = program
    .command('rm')
    .argument('<task>', 'an ended task; id, or the beginning of one')
    .option('--yes', 'do not ask')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../rm.ts')).rmAction));
  withExamples(command, ['longhaul rm 1a2b3c4d'], ['longhaul rm 1a2b3c4d --yes', 'without asking']);
}
