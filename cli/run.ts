/** `longhaul run`: submit a task and follow it to its end. */
import { runCommand } from './exit.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';
import type { SubmissionOptions } from './definitions/submission-options.ts';
import { submitFrom } from './submission.ts';

export const runAction = (words: string[], options: SubmissionOptions & { verbose?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async (context) => {
      const { taskId } = await submitFrom(context, words, options);
      return followToEnd(context, taskId, {
        showsInput: false,
        json: options.json === true,
        verbose: options.verbose === true,
      });
    }),
  );
