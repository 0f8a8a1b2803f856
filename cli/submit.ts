/** `longhaul submit`: submits a task and prints its id. */
import { describe } from '../client/tasks.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import type { SubmissionOptions } from './definitions/submission-options.ts';
import { submitFrom } from './submission.ts';
import { shortId } from '../contract/ids.ts';

export const submitAction = (words: string[], options: SubmissionOptions) =>
  runCommand(options, () =>
    withLonghaul(async (context) => {
      const { taskId } = await submitFrom(context, words, options);
      const task = await describe(context.longhaul, taskId);
      process.stdout.write(`${options.json ? JSON.stringify(task) : taskId}\n`);
      if (!options.json && process.stdout.isTTY) {
        process.stdout.write(`  longhaul watch ${shortId(task.id)}    follow it\n`);
      }
    }),
  );
