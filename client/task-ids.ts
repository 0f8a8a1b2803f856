/** Task ids as people write them: whole, or the beginning as far as it is unique. */
import type { Db } from '../store/sql.ts';
import { findTask, idsByPrefix } from '../store/task-views.ts';
import type { TaskId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';

const MIN_PREFIX = 4;
const SHOWN = 5;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isUuid = (text: string): boolean => UUID.test(text.toLowerCase());

/** Fails with `task_not_found` or, for what is no id or begins several, with `invalid_input`. */
export async function resolveTaskId(db: Db, text: string): Promise<TaskId> {
  const prefix = text.trim().toLowerCase();
  if (isUuid(prefix)) {
    const task = await findTask(db, prefix as TaskId);
    if (task) return task.id;
    throw noSuchTask(text);
  }
  if (!/^[0-9a-f-]+$/.test(prefix) || prefix.length > 36) {
    throw new LonghaulError(
      'invalid_input',
      `task id: expected a uuid or the beginning of one, found ${JSON.stringify(text)}.`,
    );
  }
  if (prefix.length < MIN_PREFIX) {
    throw new LonghaulError(
      'invalid_input',
      `task id: expected at least ${MIN_PREFIX} characters, found ${JSON.stringify(text)}.`,
    );
  }
  const ids = await idsByPrefix(db, prefix, SHOWN + 1);
  const [only, second] = ids;
  if (!only) throw noSuchTask(text);
  if (!second) return only;
  const shown = `${ids.slice(0, SHOWN).join(', ')}${ids.length > SHOWN ? ', …' : ''}`;
  throw new LonghaulError('invalid_input', `Several tasks begin with ${text}: ${shown}. Write more of the id.`);
}

export function noSuchTask(text: string): LonghaulError {
  return new LonghaulError('task_not_found', `There is no task ${text}. \`longhaul ls\` lists them.`);
}
