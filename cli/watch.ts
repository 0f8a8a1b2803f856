/** `longhaul watch`: a task's timeline from its first frame to its end. */
import type { Command } from 'commander';
import { resolveTaskId } from '../client/task-ids.ts';
import { runCommand } from './exit.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';

export function registerWatch(program: Command): void {
  program
    .command('watch')
    .description('follow a task from its beginning; Ctrl-C leaves, the task goes on')
    .argument('<task>', 'id, or the beginning of one')
    .option('--json', 'print each frame as a line of JSON')
    .action((text: string, options: { json?: boolean }) =>
      runCommand(options, () =>
        withLonghaul(async (context) => {
          const taskId = await resolveTaskId(context.longhaul.sql, text);
          return followToEnd(context, taskId, { showsInput: true, ...options });
        }),
      ),
    );
}
