/** `longhaul submit`: submit a task and print its id. */
import type { Command } from 'commander';
import { describe } from '../client/tasks.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { withLonghaul } from './longhaul.ts';
import { addSubmissionOptions, submitFrom, type SubmissionOptions } from './submission.ts';
import { shortId } from '../contract/ids.ts';

export function registerSubmit(program: Command): void {
  const submit = addSubmissionOptions(program.command('submit'))
    .option('--json', 'print the task as JSON')
    .action((words: string[], options: SubmissionOptions) =>
      runCommand(options, () =>
        withLonghaul(async (context) => {
          const { taskId } = await submitFrom(context, words, options);
          const task = await describe(context.longhaul, taskId);
          process.stdout.write(`${options.json ? JSON.stringify(task) : taskId}\n`);
          if (!options.json && process.stdout.isTTY) {
            process.stdout.write(`  longhaul watch ${shortId(task.id)}    follow it\n`);
          }
        }),
      ),
    );
  withExamples(
    submit,
    ["longhaul submit 'Update the changelog'", 'prints the id'],
    ["longhaul submit --session 5e6f… 'And now the docs'", 'after the queued tasks of the session'],
  );
}
