/**
 * What must be true of an ended task whatever was broken while it ran: its work once, all of it, as its agent wrote it;
 * rows, frames and runs agree; nothing of it is left. One checker for every test of faults.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import type { FinalState, TaskState } from '../../contract/task.ts'; // prettier-ignore
import { type LabChange, type Observer, streamedText, type TaskFacts } from './observer.ts';

export interface Whole {
  /** Content by path of all that differs from the base. */
  readonly files: Readonly<Record<string, string>>;
  /** One of these; default: completed. */
  readonly state?: TaskState | readonly TaskState[];
  readonly code?: string;
  /** Each is said exactly once by the agent of a completed task. */
  readonly said?: readonly string[];
  /** The turn had come to its end before the task was stopped: it counts as whole, or not. Default: it completed. */
  readonly turnEnded?: boolean;
  /** A task that was stopped at an unknown point has some of the files, or none. */
  readonly stoppedAnywhere?: boolean;
  /** Temporal has lost its run, or another one ended the task: its run tells nothing of it. */
  readonly runLost?: boolean;
  /** The session's worktree is parked, and not removed. */
  readonly parked?: boolean;
}

/** Of an ended task, while no other one runs (its locks would be taken for this one's). */
export async function expectWhole(seen: Observer, taskId: TaskId, whole: Whole): Promise<void> {
  expect(await wrongWith(seen, taskId, whole)).toEqual([]);
}

/** A line for each thing that is wrong, with the task's id. */
export async function wrongWith(seen: Observer, taskId: TaskId, whole: Whole): Promise<string[]> {
  const task = await seen.ended(taskId);
  const wrong = [
    ...wrongEnd(task, whole),
    ...(await seen.leftovers(taskId, whole)),
    ...(await wrongMessage(seen, task, whole)),
    ...(await wrongChange(seen, task, whole)),
    ...(whole.runLost ? [] : await wrongRun(seen, task)),
    ...(await wrongRows(seen, taskId)),
    ...(await wrongProcesses(taskId)),
  ];
  return wrong.map((line) => `${taskId.slice(0, 8)}: ${line}`);
}

function wrongEnd(task: TaskFacts, { state = 'completed', code }: Whole): string[] {
  const found = `${task.state} (${task.error_code}: ${task.output_summary})`;
  if (![state].flat().includes(task.state as TaskState)) return [`it is ${found}`];
  const expected = task.state === 'completed' ? null : (code ?? null);
  return task.error_code === expected ? [] : [`it is ${found}, expected ${expected}`];
}

const turnEndedOf = ({ state }: TaskFacts, { turnEnded }: Whole): boolean => turnEnded ?? state === 'completed';

async function wrongMessage(seen: Observer, task: TaskFacts, whole: Whole): Promise<string[]> {
  const wrong: string[] = [];
  const message = (await seen.messages(task.id)).find(({ role }) => role === 'assistant');
  const content = message?.content ?? '';
  const frames = (await seen.frames(task.id)).filter(({ task_id: of }) => of === task.id);
  if (content !== streamedText(frames)) wrong.push('its text is not what the frames say');
  const segments = message?.segments ?? [];
  const inOrder = segments.map((segment) => (segment.type === 'text' ? segment.text : '')).join('');
  if (inOrder !== content) wrong.push('its segments hold another text than its content');
  const open = segments.filter((segment) => segment.type === 'tool_call' && segment.ended_seq === undefined);
  if (open.length > 0) wrong.push(`${open.length} of its segments are open`);
  for (const words of task.state === 'completed' ? (whole.said ?? []) : []) {
    const times = content.split(words).length - 1;
    if (times !== 1) wrong.push(`"${words}" was said ${times} times`);
  }
  const status = turnEndedOf(task, whole) ? 'complete' : task.state;
  if (message?.status !== status && (task.state === 'completed' || !whole.stoppedAnywhere))
    wrong.push(`its message is ${message?.status}, expected ${status}`);
  return wrong;
}

async function wrongChange(seen: Observer, task: TaskFacts, whole: Whole): Promise<string[]> {
  const { files, stoppedAnywhere = false } = whole;
  const all = task.state === 'completed' || !stoppedAnywhere;
  const [change] = await seen.changes(task.id);
  if (!change) {
    const none = all && Object.keys(files).length > 0 ? ['it has no change'] : [];
    return [...none, ...(await wrongRef(seen, task.id, undefined))];
  }
  const found = await writtenIn(seen, change);
  if (Object.keys(found).length === 0) return ['its change is empty'];
  const wrong = Object.entries(found)
    .filter(([name, content]) => files[name] !== content)
    .map(([name, content]) => `its change has ${name} with ${JSON.stringify(content.slice(0, 80))}`);
  const missing = Object.keys(files).filter((name) => !(name in found));
  if (all && missing.length > 0) wrong.push(`its change lacks ${missing.join(', ')}`);
  const ended = turnEndedOf(task, whole);
  if (change.partial === ended && (task.state === 'completed' || !(ended || stoppedAnywhere)))
    wrong.push(`its change is ${change.partial ? '' : 'not '}partial`);
  if (!(await patchGives(seen, change))) wrong.push('its patch gives another tree than its commit');
  return [...wrong, ...(await wrongRef(seen, task.id, change.result_commit))];
}

async function wrongRef(seen: Observer, taskId: TaskId, commit: string | undefined): Promise<string[]> {
  const refs = await seen.results('for-each-ref', '--format=%(objectname)', `refs/longhaul/tasks/${taskId}`);
  return refs === (commit ?? '') ? [] : [`its ref is ${refs || 'absent'}, its change's commit ${commit ?? 'absent'}`];
}

async function writtenIn(seen: Observer, { base_commit, result_commit }: LabChange): Promise<Record<string, string>> {
  const names = await seen.results('diff', '--name-only', '-z', base_commit, result_commit);
  const files: Record<string, string> = {};
  for (const name of names.split('\0').filter(Boolean)) {
    files[name] = await seen.results('show', `${result_commit}:${name}`).catch(() => '(deleted)');
  }
  return files;
}

/** Applied to the base by git itself, in an index of its own. */
async function patchGives(seen: Observer, { id, base_commit, result_commit }: LabChange): Promise<boolean> {
  const [row] = await seen.sql<{ patch: Buffer }[]>`SELECT patch FROM pending_changes WHERE id = ${id}`;
  const folder = await mkdtemp(path.join(tmpdir(), 'longhaul-patch-'));
  try {
    await writeFile(path.join(folder, 'patch'), row?.patch ?? '');
    const clone = path.join(folder, 'clone');
    const git = (...args: string[]): Promise<string> => seen.repository.git(...args);
    await git('clone', '--quiet', '--shared', '--no-checkout', seen.repository.path, clone);
    await writeFile(
      path.join(clone, '.git/objects/info/alternates'),
      `${await seen.results('rev-parse', '--path-format=absolute', '--git-path', 'objects')}\n`,
    );
    await git('-C', clone, 'read-tree', base_commit);
    await git('-C', clone, 'apply', '--cached', path.join(folder, 'patch'));
    return (await git('-C', clone, 'write-tree')) === (await seen.results('rev-parse', `${result_commit}^{tree}`));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function wrongRun(seen: Observer, task: TaskFacts): Promise<string[]> {
  const wrong: string[] = [];
  if (task.run_id === null) return task.started_at === null ? [] : ['it ran, but its row names no run'];
  const handle = seen.client.workflow.getHandle(taskWorkflowId(task.id));
  const { runId, status } = await seen.answered(() => handle.describe());
  if (runId !== task.run_id) wrong.push(`its row names run ${task.run_id}, Temporal has ${runId}`);
  const expected = { completed: 'COMPLETED', failed: 'FAILED', cancelled: 'CANCELLED' }[task.state as FinalState];
  if (status.name !== expected) wrong.push(`its run is ${status.name}, its row ${task.state}`);
  const settled = await seen.client.workflow
    .getHandle(settleWorkflowId(task.id))
    .describe()
    .catch(() => undefined);
  if (settled) wrong.push('it was settled, although its run came to its end');
  return wrong;
}

async function wrongRows(seen: Observer, taskId: TaskId): Promise<string[]> {
  const wrong: string[] = [];
  const attempts = await seen.sql`SELECT attempt FROM attempts WHERE task_id = ${taskId} AND ended_at IS NULL`;
  if (attempts.length > 0) wrong.push(`attempt ${attempts.map((row) => row['attempt']).join(', ')} is open`);
  const diffs = await seen.sql`SELECT FROM collected_diffs WHERE task_id = ${taskId}`;
  if (diffs.length > 0) wrong.push('its collected diff was not queued');
  return wrong;
}

/** By the environments of all processes, and not by the product's own way of finding them. */
async function wrongProcesses(taskId: TaskId): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      return environment.includes(taskId) ? [`process ${pid} of it is alive`] : [];
    }),
  );
  return found.flat();
}

export interface LabAttempt {
  readonly attempt: number;
  readonly worker_pid: number;
  /** Of its agent. */
  readonly pid: number | null;
  readonly token: string;
  readonly error_code: string | null;
}

/** Each attempt at a turn, in turn. */
export async function attemptsOf({ sql }: Observer, task: TaskId): Promise<LabAttempt[]> {
  return [
    ...(await sql<LabAttempt[]>`
      SELECT attempt, worker_pid, pid, token, error_code FROM attempts WHERE task_id = ${task} ORDER BY attempt`),
  ];
}
