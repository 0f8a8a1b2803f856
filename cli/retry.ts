/** `longhaul retry`: submits the input of an ended task again. */
import { retry } from '../client/retry.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe } from '../client/tasks.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import { shortId } from '../contract/ids.ts';

export const retryAction = (text: string, options: { json?: boolean }) =>
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
  );
