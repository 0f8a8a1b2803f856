/** Checks for tasks that wait, and for leftovers of tasks that have ended. */
import type { Sql } from '../../store/sql.ts';
import { type WaitingTasks, waitingTasks } from '../../store/left-tasks.ts';
import type { FoundLeftovers } from '../gc/gc.ts';
import { type Check, ok, warning } from './check.ts';
import { shortId } from '../../contract/ids.ts';

const LONG_SECONDS = 60;
const SILENT_SECONDS = 15 * 60;
const SHOWN = 3;

export const findWaitingTasks = (sql: Sql): Promise<WaitingTasks> =>
  waitingTasks(sql, { longSeconds: LONG_SECONDS, silentSeconds: SILENT_SECONDS });

export function checkTasks(waiting: WaitingTasks): Check[] {
  const checks: Check[] = [];
  if (waiting.unstarted.length > 0) {
    const detail = `${shown(waiting.unstarted)} for over a minute without a run`;
    checks.push(warning('tasks', detail, 'The backend starts them: see `backend answers` and the backend’s log.'));
  }
  if (waiting.queued.length > 0) {
    const detail = `${shown(waiting.queued)} for over a minute for an agent slot`;
    checks.push(warning('tasks', detail, 'LONGHAUL_AGENT_SLOTS sets how many agents work at once.'));
  }
  if (waiting.silent.length > 0) {
    const count = waiting.silent.length;
    const detail = `${count} ${count === 1 ? 'task has' : 'tasks have'} shown no progress for 15 minutes: ${idList(waiting.silent)}`;
    checks.push(
      warning('tasks', detail, '`longhaul show ID` and the worker’s log have details; `longhaul cancel ID` ends one.'),
    );
  }
  return checks.length > 0 ? checks : [ok('tasks', `${waiting.open} open, none waits for long`)];
}

/** Returns the short ids of the first SHOWN tasks, with `…` for the others. */
export const idList = (tasks: readonly string[]): string =>
  tasks
    .slice(0, SHOWN)
    .map((id) => shortId(id))
    .join(', ') + (tasks.length > SHOWN ? ', …' : '');

const shown = (tasks: readonly string[]): string =>
  `${tasks.length} ${tasks.length === 1 ? 'task waits' : 'tasks wait'} (${idList(tasks)})`;

export function checkLeftovers({ leftovers }: FoundLeftovers): Check {
  const name = 'leftovers';
  const going = leftovers.filter((leftover) => leftover.kept === undefined);
  const kept = leftovers.length - going.length;
  const stay =
    kept === 0 ? '' : `${kept} ${kept === 1 ? 'is' : 'are'} kept on purpose (longhaul gc --dry-run lists them)`;
  if (going.length === 0) return ok(name, stay === '' ? 'none' : `none to remove; ${stay}`);
  const kinds = new Map<string, number>();
  for (const { kind } of going) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const counts = [...kinds].map(([kind, count]) => `${count} × ${kind}`).join(', ');
  return warning(
    name,
    `${counts}, which no task needs${stay === '' ? '' : `; ${stay}`}`,
    'longhaul gc removes them; --dry-run says which.',
  );
}
