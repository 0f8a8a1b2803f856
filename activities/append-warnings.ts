/**
 * Appends the warnings of a task's step to the log of the task's session. The key of a warning contains the warning's
 * position, so a step that is executed again appends no warning twice.
 */
import { appendKeyed } from '../store/append-frames.ts';
import type { Sql } from '../store/sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';

export interface WarningSource {
  readonly sessionId: SessionId;
  readonly taskId: TaskId;
  /** Distinguishes the warnings of one step from those of another, e.g. `diff-note`. */
  readonly kind: string;
}

/** Appends the warnings, in order, unless an earlier execution of the step has appended them. */
export async function appendWarnings(
  sql: Sql,
  { sessionId, taskId, kind }: WarningSource,
  messages: readonly string[],
): Promise<void> {
  if (messages.length === 0) return;
  const frames = messages.map((message, index) => ({
    key: `${taskId}:${kind}-${index}`,
    taskId,
    body: { type: 'warning' as const, message },
  }));
  await sql.begin((tx) => appendKeyed(tx, sessionId, frames));
}
