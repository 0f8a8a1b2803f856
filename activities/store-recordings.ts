/**
 * Moves the recordings that the terminal adapter left in the home to the database. The step diff worktree calls it:
 * that step runs on the task's host at every end of a task, when no process of the agent is alive.
 *
 * A recording never fails a task: if it cannot be read or stored, the step writes a log line. If the database is
 * unavailable, the step is retried and finds the files again.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { recordingsFolder } from '../agents/launch/terminal.ts';
import type { TaskId } from '../contract/ids.ts';
import { isErrno } from '../contract/errors.ts';
import { storeRecording } from '../store/recordings.ts';
import { isConnectionLoss } from '../store/sql.ts';
import type { StepDeps } from './step.ts';

/**
 * The maximum number of recordings of a task. The newest are stored, because they show how the task ended. An agent
 * that was retried and resumed often has more.
 */
const KEPT = 20;

export async function storeRecordings({ sql, env, log }: StepDeps, taskId: TaskId): Promise<void> {
  const home = env['LONGHAUL_HOME'];
  if (!home) return;
  const folder = join(recordingsFolder(home), taskId);
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.cast.gz')).toSorted();
    for (const name of names.slice(-KEPT)) {
      await storeRecording(sql, taskId, { name, castGzip: await readFile(join(folder, name)) });
    }
    await rm(folder, { recursive: true, force: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return; // no terminal was recorded
    if (isConnectionLoss(error)) throw error;
    log.warn({ err: error, task_id: taskId }, 'a recording of a terminal could not be stored');
  }
}
