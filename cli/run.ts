/** `longhaul run`: hand over a task and follow it to its end. */
import type { Command } from 'commander';
import { runCommand } from './exit.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';
import { addSubmissionOptions, submitFrom, type SubmissionOptions } from './submission.ts';

export function registerRun(program: Command): void {
  addSubmissionOptions(program.command('run'))
    .description('hand over a task and follow it; Ctrl-C detaches, the task goes on')
    .option('--json', 'print each frame as a line of JSON')
    .action((words: string[], options: SubmissionOptions) =>
      runCommand(options, () =>
        withLonghaul(async (context) => {
          const { taskId } = await submitFrom(context, words, options);
          return followToEnd(context, taskId, { showsInput: false, ...(options.json ? { json: true } : {}) });
        }),
      ),
    );
}
