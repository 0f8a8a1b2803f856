/**
 * Transitions of rows. Each transition is a compare-and-set: the statement names the state that it expects. The
 * transition appends its frame in the same transaction, under a key, so that a step that runs again appends none.
 */
import type { SessionId, TaskId } from '../contract/ids.ts';
import { FINAL_STATES } from '../contract/task.ts';
import type { Db } from './sql.ts';

/**
 * The row was not in the expected state, because another program or another run changed it first. Nothing was written.
 */
export interface Superseded {
  readonly kind: 'superseded';
  /** The state that the row has now. Undefined if the row does not exist. */
  readonly state: string | undefined;
}

/** The transition was made. */
export interface TransitionMade {
  readonly kind: 'moved';
  /** Null if the task has no session yet, and so no log. */
  readonly sessionId: SessionId | null;
}

export type Transition = TransitionMade | Superseded;

/**
 * SQL condition: the task is not final. Any program may write any text as a state, so every state but the final ones
 * counts as not final.
 */
export const isNotFinal = (db: Db) => db`(state IS NULL OR state <> ALL (${[...FINAL_STATES]}))`;

/**
 * Returns the transition that an UPDATE of `tasks` made, or `superseded` if the UPDATE found no row in the expected
 * state. `rows` are the rows that the UPDATE returned, with `session_id`.
 */
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
