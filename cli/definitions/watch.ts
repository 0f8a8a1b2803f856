/** Defines the arguments and options of `longhaul watch`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerWatch(program: Command): void {
  const command = program
    .command('watch')
    .argument('<task>', 'id, or the beginning of one')
    .option('--verbose', 'show the whole output of tools')
    .option('--json', 'print each frame as a line of JSON')
    .action(lazily(async () => (await import('../watch.ts')).watchAction));
  withExamples(command, ['longhaul watch 1a2b3c4d'], ['longhaul watch 1a2b3c4d --json', 'each frame as a line']);
}
