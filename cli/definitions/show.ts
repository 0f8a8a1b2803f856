/** Defines the arguments and options of `longhaul show`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerShow(program: Command): void {
  const command = program
    .command('show')
    .argument('<task>', 'id, or the beginning of one')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../show.ts')).showAction));
  withExamples(command, ['longhaul show 1a2b3c4d']);
}
