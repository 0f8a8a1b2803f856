/** Reads changes as the API and the CLI show them. */
import type { ChangeId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import { diffTruncated, filesList } from './diffs.ts';
import { cutPage, isAfter, isoTime, type Page, pageColumn, pageEnd, type PageRange, shownText } from './pages.ts';
import type { Db } from './sql.ts';
import { type Ran, ranIn } from './task-views.ts';

export interface ListedChange {
  readonly id: ChangeId;
  readonly task_id: TaskId | null;
  readonly session_id: SessionId | null;
  readonly project_id: ProjectId | null;
  /** The path of the project. */
  readonly file_path: string | null;
  readonly operation: string | null;
  readonly state: string;
  /** True if the turn that made the change did not complete. */
  readonly partial: boolean;
  /** The number of files in the change. */
  readonly files: number;
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly base_commit: string | null;
  readonly result_commit: string | null;
  readonly created_at: string | null;
}

export interface WholeChange extends Omit<ListedChange, 'files'> {
  readonly files: readonly unknown[];
  readonly ignored_files: readonly unknown[];
  /** The diff as text to read. It is cut if it is very long. */
  readonly diff: string;
  readonly diff_truncated: boolean;
  /** What the agent reported that it ran with. */
  readonly ran: Ran | null;
  /** The task that made the change. Null if this task was removed, or if another program made the change. */
  readonly provenance: Provenance | null;
}

/** The values with which a task was submitted, and the duration and permission requests of its turn. */
export interface Provenance {
  readonly prompt: string | null;
  readonly agent: string | null;
  readonly execution_path: string | null;
  /** The model that the task chose. `ran` has the model that the agent reported. */
  readonly model: string | null;
  readonly mode: string | null;
  readonly thinking: string | null;
  readonly tokens: number | null;
  readonly attempts: number;
  readonly tool_calls: number;
  /** The first permission requests of the task, at most 100, the oldest first. */
  readonly permissions: readonly PermissionDecision[];
  readonly duration_ms: number | null;
}

export interface PermissionDecision {
  readonly title: string | null;
  readonly state: string;
  readonly chosen: string | null;
  readonly answered_by: string | null;
}

export interface ChangeFilter {
  readonly state?: string;
  readonly taskId?: TaskId;
  readonly sessionId?: SessionId;
  readonly projectId?: ProjectId;
}

const columns = (db: Db) => db`
  t.id, t.task_id, t.session_id, coalesce(k.project_id, s.project_id) AS project_id,
  ${shownText(db, 't', 'file_path', 'operation', 'state', 'base_commit', 'result_commit')}
  t.partial, t.additions, t.deletions, ${isoTime(db, 'created_at')}`;

const source = (db: Db) => db`
  pending_changes t LEFT JOIN tasks k ON k.id = t.task_id LEFT JOIN sessions s ON s.id = t.session_id`;

export async function changePage(db: Db, filter: ChangeFilter, range: PageRange): Promise<Page<ListedChange>> {
  const { state, taskId, sessionId, projectId } = filter;
  const rows = await db<(ListedChange & { readonly page_at: number })[]>`
    SELECT ${columns(db)}, CASE jsonb_typeof(t.files) WHEN 'array' THEN jsonb_array_length(t.files) ELSE 0 END AS files,
           ${pageColumn(db)}
      FROM ${source(db)}
     WHERE ${isAfter(db, range)}
       AND ${state === undefined ? db`true` : db`t.state = ${state}`}
       AND ${taskId ? db`t.task_id = ${taskId}` : db`true`}
       AND ${sessionId ? db`t.session_id = ${sessionId}` : db`true`}
       AND ${projectId ? db`coalesce(k.project_id, s.project_id) = ${projectId}` : db`true`}
     ${pageEnd(db, range)}`;
  return cutPage(rows, range);
}

const PROMPT_CHARS = 20_000;
const TITLE_CHARS = 1_000;
const PERMISSIONS_LIMIT = 100;

const provenance = (db: Db) => db`
  CASE WHEN k.id IS NOT NULL THEN jsonb_build_object(
    'prompt', left(k.input, ${PROMPT_CHARS}), 'agent', k.agent, 'execution_path', k.execution_path,
    'model', k.model, 'mode', k.mode_id, 'thinking', k.thinking_option_id, 'tokens', k.cost_tokens,
    'attempts', (SELECT count(*) FROM attempts a WHERE a.task_id = k.id),
    'tool_calls', coalesce((SELECT CASE jsonb_typeof(m.tool_calls) WHEN 'array' THEN jsonb_array_length(m.tool_calls) END
                              FROM messages m WHERE m.id = k.message_id), 0),
    'permissions', (SELECT coalesce(jsonb_agg(to_jsonb(asked)), '[]')
                      FROM (SELECT left(title, ${TITLE_CHARS}) AS title, state, chosen, answered_by FROM permissions
                             WHERE task_id = k.id ORDER BY requested_at, id LIMIT ${PERMISSIONS_LIMIT}) asked),
    'duration_ms', CASE WHEN isfinite(k.started_at) AND isfinite(k.ended_at)
                        THEN round(1000 * (extract(epoch FROM k.ended_at) - extract(epoch FROM k.started_at))) END
  ) END AS provenance`;

export async function findChange(db: Db, id: ChangeId): Promise<WholeChange | undefined> {
  const [row] = await db<WholeChange[]>`
    SELECT ${columns(db)}, coalesce(t.diff, '') AS diff, ${diffTruncated(db)}, ${filesList(db)},
           CASE jsonb_typeof(t.ignored_files) WHEN 'array' THEN t.ignored_files ELSE '[]' END AS ignored_files,
           ${ranIn(db, 'k')}, ${provenance(db)}
      FROM ${source(db)} WHERE t.id = ${id}`;
  return row;
}
