/** Defines the arguments and options of `longhaul prompts`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerPrompts(program: Command): void {
  const command = program
    .command('prompts')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../prompts.ts')).promptsAction));
  withExamples(command, ['longhaul prompts'], ['longhaul answer 1a2b3c4d allow', 'answers the one with this id']);
}
