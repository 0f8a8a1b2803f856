/** What a test sees of a Longhaul: its rows, frames, runs and what is left on disk; and how it hands in tasks. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { findMarked } from '../../agents/process/end.ts';
import { cancel } from '../../client/cancel.ts';
import { isTemporalUnavailable } from '../../client/temporal.ts';
import type { Sql } from '../../store/sql.ts';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import type { TaskStatus } from '../../contract/task.ts';
import type { MessageSegment } from '../../contract/vocabulary.ts';
import { locksOf, repositoriesWithResults } from '../../worktrees/worktrees.ts';
import { gitIn, type SampleRepository } from './repositories.ts';

/** Bounds what hangs; a test waits for its event, not for this. Real agents are given longer, on a busy machine. */
const UNTIL_MS = Number(process.env['LAB_UNTIL_MS'] ?? 90_000);

export interface LabTask {
  readonly input: string;
  readonly agent?: string | null;
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
  readonly sessionId?: string;
  readonly permissionPolicy?: string;
  readonly permissionTimeoutS?: number;
  readonly permissionDefault?: string;
  readonly priority?: number;
  readonly projectId?: ProjectId;
}

export interface Observed {
  readonly home: string;
  readonly sql: Sql;
  readonly client: Client;
  readonly repository: SampleRepository;
  readonly projectId: ProjectId;
}

export interface LabMessageRow {
  readonly role: string;
  readonly status: string;
  readonly content: string;
  readonly segments: readonly MessageSegment[] | null;
}

export class Observer {
  readonly home: string;
  readonly sql: Sql;
  readonly client: Client;
  readonly repository: SampleRepository;
  readonly projectId: ProjectId;

  constructor({ home, sql, client, repository, projectId }: Observed) {
    this.home = home;
    this.sql = sql;
    this.client = client;
    this.repository = repository;
    this.projectId = projectId;
  }

  /** As any program would: a row. */
  async submit(task: LabTask): Promise<TaskId> {
    const [row] = await this.sql<{ id: TaskId }[]>`
      INSERT INTO tasks (project_id, input, agent, model, mode_id, thinking_option_id, session_id, permission_policy, priority,
                         permission_timeout_s, permission_default)
      VALUES (${task.projectId ?? this.projectId}, ${task.input}, ${task.agent === undefined ? 'demo' : task.agent},
              ${task.model ?? null}, ${task.modeId ?? null}, ${task.thinkingOptionId ?? null}, ${task.sessionId ?? null}, ${task.permissionPolicy ?? null}, ${task.priority ?? null},
              ${task.permissionTimeoutS ?? null}, ${task.permissionDefault ?? null})
      RETURNING id`;
    if (!row) throw new TypeError('no task');
    return row.id;
  }

  cancel(taskId: TaskId): Promise<unknown> {
    return cancel({ sql: this.sql, temporal: this.client }, taskId, 'test');
  }

  async until<T>(what: string, probe: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + UNTIL_MS;
    for (;;) {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      if (performance.now() > deadline)
        throw new Error(`waited ${UNTIL_MS} ms for ${what}\n${await this.#situation()}`);
      await sleep(20);
    }
  }

  async task(taskId: TaskId): Promise<TaskFacts> {
    const [row] = await this.sql<TaskFacts[]>`
      SELECT id, state, phase, error_code, output_summary, session_id, message_id, worktree_path, kept_worktree,
             run_id, started_at, ended_at
        FROM tasks WHERE id = ${taskId}`;
    if (!row) throw new TypeError(`no task ${taskId}`);
    return row;
  }

  async ended(taskId: TaskId): Promise<TaskFacts> {
    const ended = await this.until(`the end of ${taskId}`, async () => {
      const task = await this.task(taskId);
      return task.ended_at !== null && task;
    });
    // The row is final a moment before the run is closed.
    await this.client.workflow
      .getHandle(taskWorkflowId(taskId))
      .result()
      .catch(() => {});
    return ended;
  }

  untilPhase(taskId: TaskId, phase: string): Promise<TaskFacts> {
    return this.until(`phase ${phase} of ${taskId}`, async () => {
      const task = await this.task(taskId);
      if (task.ended_at !== null) throw new Error(`the task ended (${task.state}) before it was ${phase}`);
      return task.phase === phase && task;
    });
  }

  async frames(taskId: TaskId): Promise<LabFrame[]> {
    return this.sql<LabFrame[]>`
      SELECT seq, type, task_id, body FROM frames
       WHERE session_id = (SELECT session_id FROM tasks WHERE id = ${taskId}) ORDER BY seq`;
  }

  untilFrame(taskId: TaskId, what: string, test: (frame: LabFrame) => boolean): Promise<LabFrame> {
    return this.until(`a frame: ${what}`, async () => (await this.frames(taskId)).find(test));
  }

  async changes(taskId: TaskId): Promise<LabChange[]> {
    return this.sql<LabChange[]>`
      SELECT id, file_path, operation, diff, partial, base_commit, result_commit FROM pending_changes WHERE task_id = ${taskId}`;
  }

  async messages(taskId: TaskId): Promise<LabMessageRow[]> {
    return this.sql<LabMessageRow[]>`
      SELECT role, status, content, segments FROM messages WHERE task_id = ${taskId} ORDER BY created_at`;
  }

  /** File content in a task's change. */
  async inChange(taskId: TaskId, file: string): Promise<string> {
    return this.results('show', `refs/longhaul/tasks/${taskId}:${file}`);
  }

  /** Git in the project's mirror, where the results of tasks are. */
  async results(...args: string[]): Promise<string> {
    const { path: project } = this.repository;
    const [place = project] = await repositoriesWithResults(locksOf(this.home), project);
    return gitIn(place, ...args);
  }

  status(taskId: TaskId): Promise<TaskStatus> {
    return this.client.workflow.getHandle(taskWorkflowId(taskId)).query<TaskStatus>('taskStatus');
  }

  async statusIfRuns(taskId: TaskId): Promise<TaskStatus | undefined> {
    try {
      return await this.answered(() => this.status(taskId));
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }

  /** What Temporal says once it is there: our connection learns up to a second late that it is back. */
  answered<T>(ask: () => Promise<T>): Promise<T> {
    return this.until('Temporal to answer', async () => {
      try {
        return await ask();
      } catch (error) {
        if (isTemporalUnavailable(error)) return undefined;
        throw error;
      }
    });
  }

  async historyLength(taskId: TaskId): Promise<number> {
    const { events } = await this.client.workflow.getHandle(taskWorkflowId(taskId)).fetchHistory();
    return events?.length ?? 0;
  }

  /** Whatever happened, this is what must be left of an ended task. Lists what is wrong: empty is right. */
  async leftovers(taskId: TaskId, { parked = false }: { readonly parked?: boolean } = {}): Promise<string[]> {
    const wrong: string[] = [];
    const task = await this.task(taskId);
    const mayStay = parked || task.kept_worktree !== null;
    const frames = await this.frames(taskId);
    frames.forEach((frame, index) => {
      if (frame.seq !== index + 1) wrong.push(`frame ${index + 1} has seq ${frame.seq}`);
    });
    for (const type of ['message_complete', 'change_queued', 'message_started']) {
      const count = frames.filter((frame) => frame.type === type && frame.body['task_id'] === undefined).length;
      const tasks = await this
        .sql`SELECT FROM tasks WHERE session_id = (SELECT session_id FROM tasks WHERE id = ${taskId})`;
      if (count > tasks.length) wrong.push(`${count} frames of type ${type}`);
    }
    const messages = (await this.messages(taskId)).filter((message) => message.role === 'assistant');
    // One that was cancelled before its session was opened has none.
    const expected = task.session_id === null ? 0 : 1;
    if (messages.length !== expected) wrong.push(`${messages.length} assistant messages`);
    if (messages[0]?.status === 'streaming') wrong.push('the message is streaming still');
    const changes = await this.changes(taskId);
    if (changes.length > 1) wrong.push(`${changes.length} changes`);
    for (const process of findMarked(taskId)) wrong.push(`process ${process.pid} is alive`);
    const worktrees: string[] = await readdir(path.join(this.home, 'worktrees')).catch(() => []);
    if (task.session_id && worktrees.includes(task.session_id) && !mayStay) wrong.push('the worktree is there');
    const listed = [
      ...(await this.repository.git('worktree', 'list', '--porcelain')).split('\n\n'),
      ...(await this.results('worktree', 'list', '--porcelain')).split('\n\n'),
    ];
    if (task.session_id && listed.some((entry) => entry.includes(task.session_id ?? '')) && !mayStay) {
      wrong.push('git still lists the worktree');
    }
    const locks = (await readdir(path.join(this.home, 'locks')).catch(() => [])).filter((name) =>
      name.endsWith('.lock'),
    );
    if (locks.length > 0) wrong.push(`locks: ${locks.join(', ')}`);
    const slots: string[] = await readdir(path.join(this.home, 'slots')).catch(() => []);
    if (slots.some((name) => name.startsWith(taskId))) wrong.push('it has an agent slot');
    const branches = await this.repository.git('branch', '--format=%(refname:short)');
    if (branches !== 'main') wrong.push(`branches: ${branches}`);
    const run = await this.client.workflow
      .getHandle(taskWorkflowId(taskId))
      .describe()
      .catch(() => undefined);
    if (run?.status.name === 'RUNNING') wrong.push('its run is open');
    return wrong;
  }

  /** Ends what is alive of any task's agent, and names it: a test that leaks has failed. */
  async endLeaked(): Promise<string[]> {
    const ids = await this.sql<{ id: TaskId }[]>`SELECT id FROM tasks`;
    return ids.flatMap(({ id }) =>
      findMarked(id).map(({ pid }) => {
        process.kill(pid, 'SIGKILL');
        return `${pid} of ${id}`;
      }),
    );
  }

  /** An agent with the instruction `run cat <path>` waits there until `open` is called, once for each that waits. */
  gate(): { readonly path: string; open(): Promise<void> } {
    const fifo = path.join(this.home, `gate-${randomUUID()}`);
    execFileSync('mkfifo', [fifo]);
    return { path: fifo, open: () => writeFile(fifo, '') };
  }

  /** What all workers have logged. */
  async logs(): Promise<string> {
    const names = (await readdir(this.home)).filter((name) => name.startsWith('worker-'));
    return (await Promise.all(names.map((name) => readFile(path.join(this.home, name), 'utf8')))).join('\n');
  }

  async #situation(): Promise<string> {
    const tasks = await this.sql`SELECT id, state, phase, error_code, output_summary FROM tasks LIMIT 25`;
    const attempts = await this
      .sql`SELECT task_id, attempt, error_code, ended_at IS NULL AS open FROM attempts LIMIT 25`;
    const logs = (await readdir(this.home)).filter((name) => name.startsWith('worker-'));
    const tails = await Promise.all(
      logs.map(async (name) => `${name}:\n${(await readFile(path.join(this.home, name), 'utf8')).slice(-3_000)}`),
    );
    return [JSON.stringify(tasks), JSON.stringify(attempts), ...tails].join('\n');
  }
}

export interface TaskFacts {
  readonly id: TaskId;
  readonly state: string;
  readonly phase: string;
  readonly error_code: string | null;
  readonly output_summary: string | null;
  readonly session_id: string | null;
  readonly message_id: string | null;
  readonly worktree_path: string | null;
  readonly kept_worktree: string | null;
  readonly run_id: string | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

export interface LabFrame {
  readonly seq: number;
  readonly task_id: TaskId | null;
  readonly type: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface LabChange {
  readonly id: string;
  readonly file_path: string;
  readonly operation: string;
  readonly diff: string;
  readonly partial: boolean;
  readonly base_commit: string;
  readonly result_commit: string;
}

/** Text of all deltas since the message last started over. */
export function streamedText(frames: readonly LabFrame[]): string {
  const from = frames.findLastIndex((frame) => frame.type === 'message_reset') + 1;
  return frames
    .slice(from)
    .filter((frame) => frame.type === 'delta')
    .map((frame) => frame.body['content'])
    .join('');
}

/** An agent's command runs: with the instruction `run cat <gate>` it waits there. */
export function isWaiting(frame: LabFrame): boolean {
  const call = frame.body['call'] as { kind?: string; status?: string } | undefined;
  return call?.kind === 'execute' && call.status === 'in_progress';
}
