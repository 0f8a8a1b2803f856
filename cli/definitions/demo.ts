/** Defines the arguments and options of `longhaul demo`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerDemo(program: Command): void {
  const command = program
    .command('demo')
    .option('--keep', 'keep everything running at the end, and print how to stop it')
    .action(lazily(async () => (await import('../demo.ts')).demoAction));
  withExamples(command, ['longhaul demo'], ['longhaul demo --keep', 'look at it in the Web UI']);
}
