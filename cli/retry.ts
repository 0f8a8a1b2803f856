/** `longhaul retry`: submit the input of an ended task again. */
import type { Command } from 'commander';
import { retry } from '../client/retry.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe } from '../client/tasks.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { withLonghaul } from './longhaul.ts';
import { shortId } from '../contract/ids.ts';

export function registerRetry(program: Command): void {
  const command = program
    .command('retry')
    .argument('<task>', 'an ended task; id, or the beginning of one')
    .option('--json', 'print the new task as JSON')
    .action((text: string, options: { json?: boolean }) =>
      runCommand(options, () =>
        withLonghaul(async ({ longhaul, services }) => {
          const { sql } = longhaul;
          const { projectRoots } = services.settings;
          const { taskId } = await retry({ sql, projectRoots }, await resolveTaskId(sql, text));
          const shown = options.json ? JSON.stringify(await describe(longhaul, taskId)) : taskId;
          process.stdout.write(`${shown}\n`);
          if (!options.json && process.stdout.isTTY) {
            process.stdout.write(`  longhaul watch ${shortId(taskId)}    follow it\n`);
          }
        }),
      ),
    );
  withExamples(command, ['longhaul retry 1a2b3c4d', 'prints the id of the new task']);
}
