/** Defines the arguments and options of `longhaul fetch`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerFetch(program: Command): void {
  const command = program
    .command('fetch')
    .argument('<task>', 'id, or the beginning of one')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../fetch.ts')).fetchAction));
  withExamples(
    command,
    ['longhaul fetch 1a2b3c4d'],
    ['git cherry-pick --no-commit refs/longhaul/tasks/<id>', 'then take its edits into the checkout'],
  );
}
