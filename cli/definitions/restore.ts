/** Defines the arguments and options of `longhaul restore`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerRestore(program: Command): void {
  const command = program
    .command('restore')
    .argument('<file>', 'made by `longhaul backup`')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../restore.ts')).restoreAction));
  withExamples(command, ['longhaul restore ~/longhaul.tar.gz', 'into LONGHAUL_HOME, which has no database yet']);
}
