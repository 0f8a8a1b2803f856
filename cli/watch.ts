/** `longhaul watch`: a task's timeline from its first frame to its end. */
import type { Command } from 'commander';
import { resolveTaskId } from '../client/task-ids.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';

export function registerWatch(program: Command): void {
  const command = program
    .command('watch')
    .argument('<task>', 'id, or the beginning of one')
    .option('--verbose', 'show the whole output of tools')
    .option('--json', 'print each frame as a line of JSON')
    .action((text: string, options: { json?: boolean; verbose?: boolean }) =>
      runCommand(options, () =>
        withLonghaul(async (context) => {
          const taskId = await resolveTaskId(context.longhaul.sql, text);
          return followToEnd(context, taskId, { showsInput: true, ...options });
        }),
      ),
    );
  withExamples(command, ['longhaul watch 1a2b3c4d'], ['longhaul watch 1a2b3c4d --json', 'each frame as a line']);
}
