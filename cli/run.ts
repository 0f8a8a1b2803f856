/** `longhaul run`: submit a task and follow it to its end. */
import type { Command } from 'commander';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';
import { addSubmissionOptions, submitFrom, type SubmissionOptions } from './submission.ts';

export function registerRun(program: Command): void {
  const run = addSubmissionOptions(program.command('run'))
    .option('--verbose', 'show the whole output of tools')
    .option('--json', 'print each frame as a line of JSON')
    .action((words: string[], options: SubmissionOptions & { verbose?: boolean }) =>
      runCommand(options, () =>
        withLonghaul(async (context) => {
          const { taskId } = await submitFrom(context, words, options);
          return followToEnd(context, taskId, {
            showsInput: false,
            json: options.json === true,
            verbose: options.verbose === true,
          });
        }),
      ),
    );
  withExamples(
    run,
    ["longhaul run 'Fix the failing test'"],
    ['longhaul run --agent opencode --model anthropic/claude-sonnet-4 - < task.md', 'from a file'],
  );
}
