/** Reads the state of the tasks to which leftover files and processes on the machine belong. */
import type { TaskId } from '../contract/ids.ts';
import type { TaskState } from '../contract/task.ts';
import type { Db } from './sql.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface LeftoverTask {
  readonly id: TaskId;
  readonly state: TaskState;
  readonly input: string;
  readonly kept_worktree: string | null;
  readonly output_summary: string | null;
}

export async function findTasks(db: Db, ids: readonly string[]): Promise<LeftoverTask[]> {
  const uuids = ids.filter((id) => UUID.test(id));
  if (uuids.length === 0) return [];
  return [
    ...(await db<LeftoverTask[]>`
      SELECT id, state, coalesce(input, '') AS input, kept_worktree, output_summary FROM tasks
       WHERE id = ANY (${uuids}::uuid[])`),
  ];
}

/** Returns those of `ids` whose task has no row, or has been final for more than `seconds`. */
export async function endedOrUnknown(db: Db, ids: readonly string[], seconds: number): Promise<string[]> {
  const rows = await db<{ id: string }[]>`
    SELECT w.id::text AS id FROM unnest(${ids}::uuid[]) AS w(id) LEFT JOIN tasks t ON t.id = w.id
     WHERE t.id IS NULL OR t.ended_at < clock_timestamp() - ${seconds} * interval '1 second'`;
  return rows.map(({ id }) => id);
}

/** Returns the paths of all projects that have one. */
export async function projectPaths(db: Db): Promise<string[]> {
  const rows = await db<{ path: string }[]>`SELECT DISTINCT path FROM projects WHERE path IS NOT NULL AND path <> ''`;
  return rows.map(({ path }) => path);
}

export interface WaitingTasks {
  readonly open: number;
  /**
   * Tasks that have not started, although no earlier task of their session is open and the session's queue is not held.
   */
  readonly unstarted: readonly TaskId[];
  /** Tasks that have started and wait for an agent slot. */
  readonly queued: readonly TaskId[];
  /** Running tasks without a sign of progress. */
  readonly silent: readonly TaskId[];
}

export async function waitingTasks(
  db: Db,
  { longSeconds, silentSeconds }: { longSeconds: number; silentSeconds: number },
): Promise<WaitingTasks> {
  const rows = await db<{ id: TaskId; unstarted: boolean; queued: boolean; silent: boolean }[]>`
    SELECT t.id,
           t.state = 'pending' AND t.run_id IS NULL AND t.created_at < now() - ${longSeconds} * interval '1 second'
             AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = t.session_id AND s.queue_held_since IS NOT NULL)
             AND NOT EXISTS (SELECT FROM tasks o WHERE o.session_id = t.session_id AND o.id <> t.id
                              AND o.state IN ('pending', 'running')
                              AND (o.claimed_at IS NOT NULL OR (o.queue_position, o.created_at) < (t.queue_position, t.created_at))) AS unstarted,
           t.state = 'pending' AND t.run_id IS NOT NULL AND t.claimed_at < now() - ${longSeconds} * interval '1 second' AS queued,
           t.state = 'running' AND t.phase NOT IN ('waiting_permission', 'waiting_limit')
             AND t.started_at < now() - ${silentSeconds} * interval '1 second'
             AND NOT EXISTS (SELECT FROM frames f WHERE f.session_id = t.session_id AND f.task_id = t.id
                              AND f.at > now() - ${silentSeconds} * interval '1 second') AS silent
      FROM tasks t WHERE t.state IN ('pending', 'running') ORDER BY t.created_at`;
  const those = (which: 'unstarted' | 'queued' | 'silent'): TaskId[] =>
    rows.filter((row) => row[which]).map(({ id }) => id);
  return { open: rows.length, unstarted: those('unstarted'), queued: those('queued'), silent: those('silent') };
}
