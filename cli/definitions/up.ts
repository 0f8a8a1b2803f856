/** Defines the arguments and options of `longhaul up`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerUp(program: Command): void {
  const command = program
    .command('up')
    .option('-d, --detach', 'return when all parts are ready; they continue in the background')
    .option('--json', 'print the status as JSON when all parts are ready')
    .action(lazily(async () => (await import('../up.ts')).upAction));
  withExamples(
    command,
    ['longhaul up -d', 'in the background'],
    ['longhaul up', 'in the foreground; Ctrl-C stops all parts'],
  );
}
