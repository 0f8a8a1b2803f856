/** Defines the arguments and options of `longhaul down`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerDown(program: Command): void {
  const command = program
    .command('down')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../down.ts')).downAction));
  withExamples(command, ['longhaul down']);
}
