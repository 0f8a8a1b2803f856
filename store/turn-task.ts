/** Reads the columns of a task's row that the dispatch step needs. */
import type { ChatId, MessageId, TaskId } from '../contract/ids.ts';
import type { ExecutionPath } from '../contract/task.ts';
import type { Db } from './sql.ts';

export interface TurnTask {
  readonly id: TaskId;
  readonly input: string;
  readonly agent: string;
  readonly install_path: string | null;
  readonly path: ExecutionPath;
  readonly model: string | null;
  readonly mode_id: string | null;
  readonly thinking_option_id: string | null;
  readonly permission_policy: 'allow' | 'deny' | 'ask';
  /** The seconds that a request waits for a user's answer. Null if there is no limit. */
  readonly permission_timeout_s: number | null;
  /** The answer after the timeout. `allow` allows; any other value denies. */
  readonly permission_default: string | null;
  readonly message_id: MessageId;
  readonly chat_id: ChatId;
  /** Null if the agent has no worktree and only answers, in an empty folder. */
  readonly worktree_path: string | null;
  readonly base_commit: string | null;
  /** The versions of the agent that a check found unable to load their session after a kill. */
  readonly unresumable_versions: readonly string[];
}

export async function turnTask(db: Db, taskId: TaskId): Promise<TurnTask | undefined> {
  const [row] = await db<TurnTask[]>`
    SELECT t.id, t.input, coalesce(t.agent, '') AS agent, a.install_path, t.execution_path AS path, t.model, t.mode_id,
           t.thinking_option_id, coalesce(t.permission_policy, 'allow') AS permission_policy,
           t.permission_timeout_s, t.permission_default, t.message_id, t.chat_id,
           t.worktree_path, t.base_commit,
           ARRAY(SELECT c.version FROM resume_checks c
                  WHERE c.agent = t.agent AND c.result = 'no' AND t.execution_path = 'acp') AS unresumable_versions
      FROM tasks t LEFT JOIN available_agents a ON a.name = t.agent
     WHERE t.id = ${taskId}`;
  return row;
}

export async function isTaskRunning(db: Db, taskId: TaskId): Promise<boolean> {
  const rows = await db`SELECT FROM tasks WHERE id = ${taskId} AND state = 'running'`;
  return rows.length > 0;
}
