/** Defines the arguments and options of `longhaul submit`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { addSubmissionOptions } from './submission-options.ts';
import { lazily } from './lazily.ts';

export function registerSubmit(program: Command): void {
  const submit = addSubmissionOptions(program.command('submit'))
    .option('--json', 'print the task as JSON')
    .action(lazily(async () => (await import('../submit.ts')).submitAction));
  withExamples(
    submit,
    ["longhaul submit 'Update the changelog'", 'prints the id'],
    ["longhaul submit --session 5e6f… 'And now the docs'", 'after the queued tasks of the session'],
  );
}
