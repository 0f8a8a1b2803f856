/**
 * Transitions of rows. Each is a compare-and-set: the statement names the state that it expects. It writes its frame in
 * the same transaction, under a key, so that a step that runs again adds none.
 */
import type { SessionId, TaskId } from '../contract/ids.ts';
import { FINAL_STATES } from '../contract/task.ts';
import type { Db } from './sql.ts';

/** The row is not in the expected state: another program or another run changed it first. Nothing was written. */
export interface Superseded {
  readonly kind: 'superseded';
  /** The state in the row now. `undefined`: the row does not exist. */
  readonly state: string | undefined;
}

/** The transition was made. */
export interface Moved {
  readonly kind: 'moved';
  /** Null: the task has no session yet, and so no log. */
  readonly sessionId: SessionId | null;
}

export type Transition = Moved | Superseded;

/** Any program may write any text as a state: only a final one ends a task. */
export const isNotFinal = (db: Db) => db`(state IS NULL OR state <> ALL (${[...FINAL_STATES]}))`;

/** For an UPDATE of `tasks` that returns `session_id`: whether it found its row. */
export async function transitionOf(
  db: Db,
  taskId: TaskId,
  rows: readonly { readonly session_id: SessionId | null }[],
): Promise<Transition> {
  const [row] = rows;
  if (row) return { kind: 'moved', sessionId: row.session_id };
  const [now] = await db<{ state: string }[]>`SELECT state FROM tasks WHERE id = ${taskId}`;
  return { kind: 'superseded', state: now?.state };
}
