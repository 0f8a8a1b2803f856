/**
 * Finds terminal recordings that remained in the home. When a task's turn has ended, a step moves the recordings of the
 * task to the database. So a recording in the home belongs to a task that did not reach this step, or the step could
 * not store the recording. Recordings are removed by age, and the oldest first if their total size exceeds the limit,
 * but never those of an open task.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';
import { isUuid } from '../../client/short-ids.ts';
import { recordingsFolder } from '../../agents/launch/terminal.ts';
import type { Settings } from '../../services/settings.ts';
import { DAY_MS, type Leftover, REMOVED } from './leftover.ts';
import { type TaskKnowledge, findTaskStates } from './task-states.ts';

export interface TaskRecordings {
  readonly taskId: string;
  readonly folder: string;
  readonly bytes: number;
  /** The time at which the newest of these recordings was last written. */
  readonly writtenAt: number;
}

/** Returns one entry for each task, the oldest first. */
export async function recordingsIn(home: string): Promise<TaskRecordings[]> {
  const root = recordingsFolder(home);
  const found = await Promise.all(
    (await namesIn(root)).filter(isUuid).map((taskId) => measure(taskId, join(root, taskId))),
  );
  return found.toSorted((one, other) => one.writtenAt - other.writtenAt);
}

async function measure(taskId: string, folder: string): Promise<TaskRecordings> {
  let bytes = 0;
  let writtenAt = 0;
  for (const name of ['.', ...(await namesIn(folder))]) {
    const status = await stat(join(folder, name)).catch(() => undefined); // The file may be missing, because a step may store and remove it at the same time.
    if (status?.isFile()) bytes += status.size;
    writtenAt = Math.max(writtenAt, status?.mtimeMs ?? 0);
  }
  return { taskId, folder, bytes, writtenAt };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

/**
 * Returns the recordings of tasks without a row, those that exceed the age limit, and the oldest of those that exceed
 * the limit of total size.
 */
export async function findLeftoverRecordings(
  { home, recordings: { days, bytes } }: Pick<Settings, 'home' | 'recordings'>,
  knowledge: TaskKnowledge,
): Promise<Leftover[]> {
  const found = await recordingsIn(home);
  const where = await findTaskStates(knowledge, new Set(found.map(({ taskId }) => taskId)));
  const kindOf = ({ taskId }: TaskRecordings) => (where.get(taskId) ?? { kind: 'gone' }).kind;
  const isOld = ({ writtenAt }: TaskRecordings): boolean => Date.now() - writtenAt > days * DAY_MS;
  const gone = found.filter((one) => kindOf(one) === 'gone');
  const ended = found.filter((one) => kindOf(one) === 'ended');
  const young = ended.filter((one) => !isOld(one));
  // Recordings of an open task are part of the total size, but are never removed.
  let over = total(found) - total(gone) - total(ended.filter(isOld)) - bytes;
  const beyond = young.filter((one) => {
    const isBeyond = over > 0;
    over -= one.bytes;
    return isBeyond;
  });
  return [
    ...gone.map((one) => leftover(one, 'its task has no row')),
    ...ended.filter(isOld).map((one) => leftover(one, `not written for ${days} days`)),
    ...beyond.map((one) => leftover(one, `all take more than ${bytes / MB} MB`)),
  ];
}

const total = (recordings: readonly TaskRecordings[]): number => recordings.reduce((sum, one) => sum + one.bytes, 0);

const MB = 1024 * 1024;

const leftover = ({ folder }: TaskRecordings, why: string): Leftover => ({
  kind: 'file',
  name: folder,
  reason: `recordings of a terminal: ${why}`,
  remove: async () => {
    await rm(folder, { recursive: true, force: true });
    return REMOVED;
  },
});
