/** `longhaul watch`: shows a task's timeline from its first frame to its end. */
import { resolveTaskId } from '../client/task-ids.ts';
import { runCommand } from './exit.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';

export const watchAction = (text: string, options: { json?: boolean; verbose?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async (context) => {
      const taskId = await resolveTaskId(context.longhaul.sql, text);
      return followToEnd(context, taskId, { showsInput: true, ...options });
    }),
  );
