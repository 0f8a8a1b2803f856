/** Defines the arguments and options of `longhaul backup`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerBackup(program: Command): void {
  const command = program
    .command('backup')
    .argument('<file>', 'the file to write; it must not exist')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../backup.ts')).backupAction));
  withExamples(command, ['longhaul backup ~/longhaul.tar.gz', 'the services may run or be stopped']);
}
