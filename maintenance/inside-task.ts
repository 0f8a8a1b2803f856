/**
 * Recognises a shell that an agent opened. Every process that is started in such a shell belongs to the agent's task
 * and is ended when the task's turn ends. So Longhaul must not be started there.
 */
import { realpathSync } from 'node:fs';
import { belongsTo, TASK_MARKER } from '../agents/process/environment.ts';
import { LonghaulError } from '../contract/errors.ts';
import { shortId } from '../contract/ids.ts';

/** Throws `invalid_input` if this process belongs to a task of this home. The home must exist. */
export function refuseInsideTask(home: string, env: NodeJS.ProcessEnv): void {
  const task = env[TASK_MARKER];
  if (task === undefined || belongsTo(realpathSync(home), env) !== 'this_home') return;
  throw new LonghaulError(
    'invalid_input',
    `This shell belongs to task ${shortId(task)} of ${home}, and all processes that it starts end with the task's turn. Start Longhaul from a shell of your own, or set LONGHAUL_HOME to another folder.`,
  );
}
