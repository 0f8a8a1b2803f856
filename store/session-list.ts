/** Lists sessions for a user who searches for one. The session with the newest task is the first. */
import type { ProjectId, SessionId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface SessionSummary {
  readonly id: SessionId;
  readonly name: string | null;
  readonly status: string | null;
  readonly project_name: string | null;
  readonly project_path: string | null;
  readonly tasks: number;
  /** The number of tasks that wait or run. */
  readonly open_tasks: number;
  /** The state of the newest task. */
  readonly last_state: string | null;
  readonly last_input: string | null;
  /** The time at which the newest task was created, ISO 8601. */
  readonly last_at: string | null;
}

export interface SessionFilter {
  readonly projectIds?: readonly ProjectId[];
  /** A text that the session's name or the input of one of its tasks contains, ignoring case. */
  readonly text?: string;
  readonly limit: number;
}

/** The session with the newest task is the first. Rows without a usable time (infinity, none) are the last. */
export async function listSessionSummaries(
  db: Db,
  { projectIds, text, limit }: SessionFilter,
): Promise<SessionSummary[]> {
  const projects = projectIds ? [...projectIds] : null;
  const rows = await db<SessionSummary[]>`
    SELECT s.id, s.name, s.status, p.name AS project_name, p.path AS project_path,
           (SELECT count(*) FROM tasks t WHERE t.session_id = s.id) AS tasks,
           (SELECT count(*) FROM tasks t WHERE t.session_id = s.id AND t.state IN ('pending', 'running')) AS open_tasks,
           last.state AS last_state, last.input AS last_input,
           to_char(last.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS last_at
      FROM sessions s
      LEFT JOIN projects p ON p.id = s.project_id
      LEFT JOIN LATERAL (
        SELECT t.state, left(t.input, 1000) AS input, CASE WHEN isfinite(t.created_at) THEN t.created_at END AS at FROM tasks t
         WHERE t.session_id = s.id
         ORDER BY CASE WHEN isfinite(t.created_at) THEN t.created_at END DESC NULLS LAST, t.id LIMIT 1) last ON true
     WHERE (${projects}::uuid[] IS NULL OR s.project_id = ANY (${projects}))
       AND (${text ?? null}::text IS NULL OR strpos(lower(s.name), lower(${text ?? null})) > 0
            OR EXISTS (SELECT FROM tasks t WHERE t.session_id = s.id AND strpos(lower(t.input), lower(${text ?? null})) > 0))
     ORDER BY last.at DESC NULLS LAST, s.id LIMIT ${limit}`;
  return [...rows];
}
