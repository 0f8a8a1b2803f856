/** Defines the arguments and options of `longhaul run`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { addSubmissionOptions } from './submission-options.ts';
import { lazily } from './lazily.ts';

export function registerRun(program: Command): void {
  const run = addSubmissionOptions(program.command('run'))
    .option('--verbose', 'show the whole output of tools')
    .option('--json', 'print each frame as a line of JSON')
    .action(lazily(async () => (await import('../run.ts')).runAction));
  withExamples(
    run,
    ["longhaul run 'Fix the failing test'"],
    ['longhaul run --agent opencode --model anthropic/claude-sonnet-4 - < task.md', 'from a file'],
  );
}
