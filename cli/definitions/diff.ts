/** Defines the arguments and options of `longhaul diff`. */
import type { Command } from 'commander';
import { APPLY } from '../apply-recipe.ts';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerDiff(program: Command): void {
  const command = program
    .command('diff')
    .argument('<task>', 'id, or the beginning of one; with --session also the id of a session')
    .option('--session', 'the sum of the changes of its session')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../diff.ts')).diffAction));
  withExamples(
    command,
    ['longhaul diff 1a2b3c4d'],
    [`longhaul diff 1a2b3c4d | ${APPLY}`, 'apply it to your checkout'],
    ['longhaul diff --session 1a2b3c4d', 'all tasks of its session'],
  );
}
