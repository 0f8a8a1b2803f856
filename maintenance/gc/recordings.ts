/**
 * Recordings of terminals in the home. A step moves a task's recordings to the database when its turn has ended, so that what stays
 * is of a task that never came to that step, or could not be stored. They go by age and by their size together, the oldest
 * first, and never those of a task at work.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';
import { isUuid } from '../../client/short-ids.ts';
import { recordingsFolder } from '../../agents/launch/terminal.ts';
import type { Settings } from '../../services/settings.ts';
import { DAY_MS, type Leftover, REMOVED } from './leftover.ts';
import { type TaskKnowledge, findTaskStates } from './task-states.ts';

export interface LeftRecordings {
  readonly taskId: string;
  readonly folder: string;
  readonly bytes: number;
  /** When the newest of them was last written to. */
  readonly writtenAt: number;
}

/** One entry a task, the oldest first. */
export async function recordingsIn(home: string): Promise<LeftRecordings[]> {
  const root = recordingsFolder(home);
  const found = await Promise.all(
    (await namesIn(root)).filter(isUuid).map((taskId) => measure(taskId, join(root, taskId))),
  );
  return found.toSorted((one, other) => one.writtenAt - other.writtenAt);
}

async function measure(taskId: string, folder: string): Promise<LeftRecordings> {
  let bytes = 0;
  let writtenAt = 0;
  for (const name of ['.', ...(await namesIn(folder))]) {
    const status = await stat(join(folder, name)).catch(() => undefined); // it is stored and removed meanwhile
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

/** Those of tasks without a row, those that are older than the setting, and the oldest of those that take more than it allows. */
export async function leftRecordings(
  { home, recordings: { days, bytes } }: Pick<Settings, 'home' | 'recordings'>,
  knowledge: TaskKnowledge,
): Promise<Leftover[]> {
  const found = await recordingsIn(home);
  const where = await findTaskStates(knowledge, new Set(found.map(({ taskId }) => taskId)));
  const kindOf = ({ taskId }: LeftRecordings) => (where.get(taskId) ?? { kind: 'gone' }).kind;
  const isOld = ({ writtenAt }: LeftRecordings): boolean => Date.now() - writtenAt > days * DAY_MS;
  const gone = found.filter((one) => kindOf(one) === 'gone');
  const ended = found.filter((one) => kindOf(one) === 'ended');
  const young = ended.filter((one) => !isOld(one));
  // A task at work counts, but what it has stays.
  let over = total(found) - total(gone) - total(ended.filter(isOld)) - bytes;
  const beyond = young.filter((one) => {
    const isBeyond = over > 0;
    over -= one.bytes;
    return isBeyond;
  });
  return [
    ...gone.map((one) => leftover(one, 'no row has its task')),
    ...ended.filter(isOld).map((one) => leftover(one, `not written for ${days} days`)),
    ...beyond.map((one) => leftover(one, `all take more than ${bytes / MB} MB`)),
  ];
}

const total = (recordings: readonly LeftRecordings[]): number => recordings.reduce((sum, one) => sum + one.bytes, 0);

const MB = 1024 * 1024;

const leftover = ({ folder }: LeftRecordings, why: string): Leftover => ({
  kind: 'file',
  name: folder,
  reason: `recordings of a terminal: ${why}`,
  remove: async () => {
    await rm(folder, { recursive: true, force: true });
    return REMOVED;
  },
});
