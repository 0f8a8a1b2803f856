/** Reads tasks as the API and the CLI show them. */
import type { ChangeId, ChatId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import { FINAL_STATES, type Phase, type ShownPhase, type TaskState } from '../contract/task.ts';
import { buildsOn } from './diffs.ts';
import {
  cutPage,
  isAfter,
  isoTime,
  newestFirst,
  type Page,
  pageColumn,
  pageEnd,
  type PageRange,
  shownText,
} from './pages.ts';
import type { Db } from './sql.ts';

/** A row of `tasks` as the API and the CLI show it. */
export interface TaskView {
  readonly id: TaskId;
  readonly project_id: ProjectId | null;
  readonly project_name: string | null;
  readonly project_path: string | null;
  readonly input: string;
  readonly agent: string | null;
  readonly model: string | null;
  readonly mode_id: string | null;
  readonly thinking_option_id: string | null;
  readonly session_id: SessionId | null;
  readonly chat_id: ChatId | null;
  readonly state: TaskState;
  /** The phase. If the task has ended, it is the final state. */
  readonly phase: ShownPhase;
  readonly error_code: string | null;
  readonly output_summary: string | null;
  readonly execution_path: string | null;
  readonly priority: number | null;
  readonly permission_policy: string | null;
  /** How many seconds a permission request waits for a person. Null if it waits without a limit. */
  readonly permission_timeout_s: number | null;
  /** The answer that a permission request gets after `permission_timeout_s`. */
  readonly permission_default: string | null;
  readonly cost_tokens: number | null;
  readonly run_id: string | null;
  readonly host: string | null;
  readonly kept_worktree: string | null;
  /** The time at which the task continues, if its phase is waiting_limit. */
  readonly waits_until: string | null;
  readonly cancel_requested_at: string | null;
  readonly cancel_reason: string | null;
  readonly created_at: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly change: ChangeView | null;
  /**
   * What the agent of the newest attempt reported that it runs with. Null if the agent has not started, or did not
   * report anything. Absent in lists.
   */
  readonly ran?: Ran | null;
  /**
   * The warnings of the task's steps, e.g. about ignored files that are not in the change, or about a worktree that was
   * kept. Absent in lists.
   */
  readonly warnings?: readonly string[];
}

/** What the agent runs with, as it reports it. A field is null if the agent does not report the value. */
export interface Ran {
  readonly model: string | null;
  readonly mode: string | null;
  readonly thinking: string | null;
  readonly agent_version: string | null;
}

export interface ChangeView {
  readonly id: ChangeId;
  readonly state: string;
  readonly partial: boolean;
  readonly files: readonly unknown[];
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly base_commit: string | null;
  readonly result_commit: string | null;
  /** The task of the same session whose change must be applied before this one. */
  readonly builds_on: TaskId | null;
}

const TEXTS =
  'agent model mode_id thinking_option_id error_code output_summary execution_path permission_policy permission_default run_id host kept_worktree cancel_reason'.split(
    ' ',
  );
const NAME_CHARS = 5_000;

/**
 * SQL: the phase that readers see. If a task is final, this is the final state: in the row of a task that another
 * program ended, or that an older version wrote, the column `phase` still has the last phase of the work. `from` is the
 * table's name in the statement.
 */
export const shownPhase = (db: Db, from: string) => db`
  CASE WHEN ${db(from)}.state = ANY (${[...FINAL_STATES]}) THEN ${db(from)}.state ELSE left(${db(from)}.phase, ${NAME_CHARS}) END AS phase`;

const columns = (db: Db) => db`
  t.id, t.project_id, left(p.name, ${NAME_CHARS}) AS project_name, left(p.path, ${NAME_CHARS}) AS project_path,
  ${shownText(db, 't', ...TEXTS)} ${shownPhase(db, 't')},
  t.session_id, t.chat_id, coalesce(left(t.state, ${NAME_CHARS}), 'unknown') AS state, t.priority, t.permission_timeout_s, t.cost_tokens,
  ${isoTime(db, 'waits_until')}, ${isoTime(db, 'cancel_requested_at')}, ${isoTime(db, 'created_at')}, ${isoTime(db, 'started_at')}, ${isoTime(db, 'ended_at')}`;

const LISTED_INPUT_CHARS = 1_000;

const input = (db: Db) => db`coalesce(t.input, '') AS input`;
const shortInput = (db: Db) => db`left(coalesce(t.input, ''), ${LISTED_INPUT_CHARS}) AS input`;

/** SQL: the task's newest change. `files` is the expression for the change's files: their list or their number. */
const changeWith = (db: Db, files: ReturnType<typeof input>) => db`
  (SELECT jsonb_build_object('id', c.id, 'state', c.state, 'partial', c.partial, 'files', ${files}, 'additions', c.additions,
            'deletions', c.deletions, 'base_commit', c.base_commit, 'result_commit', c.result_commit,
            'builds_on', ${buildsOn(db, 'c')})
     FROM pending_changes c WHERE c.task_id = t.id ORDER BY c.created_at DESC, c.id LIMIT 1) AS change`;
const change = (db: Db) => changeWith(db, db`CASE jsonb_typeof(c.files) WHEN 'array' THEN c.files ELSE '[]' END`);
const shortChange = (db: Db) =>
  changeWith(db, db`CASE jsonb_typeof(c.files) WHEN 'array' THEN jsonb_array_length(c.files) ELSE 0 END`);

const WARNING_CHARS = 20_000;
const WARNINGS_LIMIT = 50;

/**
 * SQL: the model, mode, thinking option and version of the newest attempt whose agent had a session. `tasks` is the
 * table's name in the statement.
 */
export const ranIn = (db: Db, tasks: string) => db`
  (SELECT a.ran FROM attempts a WHERE a.task_id = ${db(tasks)}.id AND a.ran IS NOT NULL
    ORDER BY a.attempt DESC LIMIT 1) AS ran`;

/**
 * SQL: the warnings of the task's steps. The query is fast, because a session has few frames with keys and these frames
 * have an index of their own.
 */
const warnings = (db: Db) => db`
  array_remove(ARRAY[t.choices_note], NULL) || ARRAY(SELECT left(coalesce(f.body ->> 'message', ''), ${WARNING_CHARS}) FROM frames f
         WHERE f.session_id = t.session_id AND f.key IS NOT NULL AND f.task_id = t.id AND f.type = 'warning'
         ORDER BY f.seq LIMIT ${WARNINGS_LIMIT}) AS warnings`;

/** Returns the warnings of all steps and of the agent's turn that begin with this text, the oldest first. */
export async function warningsBeginningWith(
  db: Db,
  { taskId, sessionId, text }: { taskId: TaskId; sessionId: SessionId; text: string },
): Promise<string[]> {
  const rows = await db<{ message: string }[]>`
    SELECT body ->> 'message' AS message FROM frames
     WHERE session_id = ${sessionId} AND task_id = ${taskId} AND type = 'warning' AND starts_with(body ->> 'message', ${text})
     ORDER BY seq LIMIT ${WARNINGS_LIMIT}`;
  return rows.map(({ message }) => message);
}

export async function findTask(db: Db, taskId: TaskId): Promise<TaskView | undefined> {
  const [row] = await db<TaskView[]>`
    SELECT ${columns(db)}, ${input(db)}, ${change(db)}, ${ranIn(db, 't')}, ${warnings(db)} FROM tasks t LEFT JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId}`;
  return row;
}

export interface TaskFilter {
  readonly projectId?: ProjectId;
  /** Selects tasks of these projects only. */
  readonly projectIds?: readonly ProjectId[];
  readonly sessionId?: SessionId;
  /** Selects tasks whose input or summary contains this text, ignoring case. */
  readonly text?: string;
  /** Selects tasks whose newest change has this state. */
  readonly changeState?: string;
  readonly states?: readonly TaskState[];
  /** Selects open tasks in one of these phases. */
  readonly phases?: readonly Phase[];
  readonly limit: number;
}

/** Returns tasks, the newest first. The input of each task is cut. */
export async function listTaskViews(db: Db, filter: TaskFilter): Promise<TaskView[]> {
  return [
    ...(await db<TaskView[]>`
      SELECT ${columns(db)}, ${shortInput(db)}, ${change(db)} FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
       WHERE (${filter.projectId ?? null}::uuid IS NULL OR t.project_id = ${filter.projectId ?? null})
         AND (${filter.projectIds ? [...filter.projectIds] : null}::uuid[] IS NULL OR t.project_id = ANY (${filter.projectIds ? [...filter.projectIds] : null}))
         AND (${filter.text ?? null}::text IS NULL
              OR strpos(lower(concat_ws(chr(10), t.input, t.output_summary)), lower(${filter.text ?? null})) > 0)
         AND (${filter.changeState ?? null}::text IS NULL OR ${filter.changeState ?? null} =
              (SELECT c.state FROM pending_changes c WHERE c.task_id = t.id ORDER BY c.created_at DESC, c.id LIMIT 1))
         AND (${filter.sessionId ?? null}::uuid IS NULL OR t.session_id = ${filter.sessionId ?? null})
         AND (${filter.states ? [...filter.states] : null}::text[] IS NULL OR t.state = ANY (${filter.states ? [...filter.states] : null}))
         AND (${filter.phases ? [...filter.phases] : null}::text[] IS NULL
              OR (t.state IN ('pending', 'running') AND t.phase = ANY (${filter.phases ? [...filter.phases] : null})))
       ${newestFirst(db)} LIMIT ${filter.limit}`),
  ];
}

/** A task in a list that is read in pages. Its texts are cut, so that the size of a page is limited. */
export interface ListedTask extends Omit<TaskView, 'change' | 'ran' | 'warnings'> {
  readonly change: (Omit<ChangeView, 'files'> & { readonly files: number }) | null;
}

export interface TaskPageFilter {
  readonly projectId?: ProjectId;
  readonly sessionId?: SessionId;
  readonly state?: TaskState;
}

export async function taskPage(db: Db, filter: TaskPageFilter, range: PageRange): Promise<Page<ListedTask>> {
  const rows = await db<(ListedTask & { readonly page_at: number })[]>`
    SELECT ${columns(db)}, ${shortInput(db)}, ${shortChange(db)}, ${pageColumn(db)}
      FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
     WHERE ${isAfter(db, range)}
       AND ${filter.projectId ? db`t.project_id = ${filter.projectId}` : db`true`}
       AND ${filter.sessionId ? db`t.session_id = ${filter.sessionId}` : db`true`}
       AND ${filter.state ? db`t.state = ${filter.state}` : db`true`}
     ${pageEnd(db, range)}`;
  return cutPage(rows, range);
}

export interface TaskProgress {
  readonly state: TaskState;
  readonly session_id: SessionId | null;
  /** The number of the task's first frame in its session's log. */
  readonly first_seq: number | null;
  readonly session_seq: number;
}

export async function taskProgress(db: Db, taskId: TaskId): Promise<TaskProgress | undefined> {
  const [row] = await db<TaskProgress[]>`
    SELECT t.state, t.session_id,
           -- By the log itself, because the session's row may differ.
           coalesce(least(s.seq, (SELECT max(f.seq) FROM frames f WHERE f.session_id = t.session_id)), 0) AS session_seq,
           (SELECT f.seq FROM frames f WHERE f.session_id = t.session_id AND f.task_id = t.id ORDER BY f.seq LIMIT 1) AS first_seq
      FROM tasks t LEFT JOIN sessions s ON s.id = t.session_id WHERE t.id = ${taskId}`;
  return row;
}
