/**
 * What must be true of an ended task whatever happened to it. Lists what is wrong: empty is right. Beyond what
 * `leftovers` looks at: the change is what the agent wrote, by content, by its patch and by its ref; rows and runs agree.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { settleWorkflowId, type TaskId, type TaskResult, taskWorkflowId } from '../../../workflows/contract.ts';
import { streamedText } from '../../lab/observer.ts';
import type { World } from './world.ts';

/** Content by path of all that differs from the base. */
export type Written = Readonly<Record<string, string>>;

export interface Expected {
  readonly states: readonly string[];
  /** All of it for a task that completed; of one that was cancelled what its agent came to. */
  readonly written: Written;
  /** Each is said exactly once by the agent of a completed task. */
  readonly said: readonly string[];
}

export async function wrongWith(world: World, taskId: TaskId, expected: Expected): Promise<string[]> {
  const task = await world.ended(taskId);
  const whole = task.state === 'completed';
  const wrong = expected.states.includes(task.state) ? [] : [`it is ${task.state}: ${task.output_summary}`];
  wrong.push(
    ...(await world.leftovers(taskId)),
    ...(await wrongMessage(world, taskId, whole ? expected.said : [])),
    ...(await wrongChange(world, taskId, { written: expected.written, whole })),
    ...(await wrongRun(world, taskId, task.state)),
    ...(await wrongRows(world, taskId)),
    ...(await wrongProcesses(taskId)),
  );
  return wrong.map((line) => `${taskId.slice(0, 8)}: ${line}`);
}

async function wrongMessage(world: World, taskId: TaskId, said: readonly string[]): Promise<string[]> {
  const wrong: string[] = [];
  const message = (await world.messages(taskId)).find(({ role }) => role === 'assistant');
  const content = message?.content ?? '';
  if (content !== streamedText(await world.frames(taskId))) wrong.push('its text is not what the frames say');
  for (const words of said) {
    const times = content.split(words).length - 1;
    if (times !== 1) wrong.push(`"${words}" was said ${times} times`);
  }
  return wrong;
}

interface ChangeRow {
  readonly base_commit: string;
  readonly result_commit: string;
  readonly patch: Buffer;
}

async function wrongChange(
  world: World,
  taskId: TaskId,
  { written, whole }: { readonly written: Written; readonly whole: boolean },
): Promise<string[]> {
  const rows = await world.sql<ChangeRow[]>`
    SELECT base_commit, result_commit, patch FROM pending_changes WHERE task_id = ${taskId}`;
  const [change] = rows;
  if (!change) return whole ? ['it has no change'] : await wrongRef(world, taskId, undefined);
  const found = await writtenIn(world, change);
  const wrong = Object.entries(found)
    .filter(([name, content]) => written[name] !== content)
    .map(([name, content]) => `its change has ${name} with ${JSON.stringify(content.slice(0, 80))}`);
  const missing = Object.keys(written).filter((name) => !(name in found));
  if (whole && missing.length > 0) wrong.push(`its change lacks ${missing.join(', ')}`);
  if (!(await patchGives(world, change))) wrong.push('its patch gives another tree than its commit');
  return [...wrong, ...(await wrongRef(world, taskId, change.result_commit))];
}

async function wrongRef(world: World, taskId: TaskId, commit: string | undefined): Promise<string[]> {
  const refs = await world.repository.git('for-each-ref', '--format=%(objectname)', `refs/longhaul/tasks/${taskId}`);
  return refs === (commit ?? '') ? [] : [`its ref is ${refs || 'absent'}, its change's commit ${commit ?? 'absent'}`];
}

async function writtenIn(world: World, { base_commit, result_commit }: ChangeRow): Promise<Record<string, string>> {
  const names = await world.repository.git('diff', '--name-only', '-z', base_commit, result_commit);
  const files: Record<string, string> = {};
  for (const name of names.split('\0').filter(Boolean)) {
    files[name] = await world.repository.git('show', `${result_commit}:${name}`).catch(() => '(deleted)');
  }
  return files;
}

/** Applied to the base by git itself, in an index of its own. */
async function patchGives(world: World, { base_commit, result_commit, patch }: ChangeRow): Promise<boolean> {
  const folder = await mkdtemp(path.join(tmpdir(), 'longhaul-patch-'));
  try {
    await writeFile(path.join(folder, 'patch'), patch);
    const clone = path.join(folder, 'clone');
    const git = (...args: string[]): Promise<string> => world.repository.git(...args);
    await git('clone', '--quiet', '--shared', '--no-checkout', world.repository.path, clone);
    await git('-C', clone, 'read-tree', base_commit);
    await git('-C', clone, 'apply', '--cached', path.join(folder, 'patch'));
    return (await git('-C', clone, 'write-tree')) === (await git('rev-parse', `${result_commit}^{tree}`));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function wrongRun(world: World, taskId: TaskId, state: string): Promise<string[]> {
  const wrong: string[] = [];
  const task = await world.task(taskId);
  if (task.run_id === null) return task.started_at === null ? [] : ['it ran, but its row names no run'];
  const handle = world.client.workflow.getHandle(taskWorkflowId(taskId));
  const { runId, status } = await handle.describe();
  if (runId !== task.run_id) wrong.push(`its row names run ${task.run_id}, Temporal has ${runId}`);
  if (status.name !== 'COMPLETED') wrong.push(`its run is ${status.name}`);
  const result = (await handle.result().catch(() => undefined)) as TaskResult | undefined;
  if (result?.state !== state) wrong.push(`its run says ${result?.state}, its row ${state}`);
  const settled = await world.client.workflow
    .getHandle(settleWorkflowId(taskId))
    .describe()
    .catch(() => undefined);
  if (settled) wrong.push('it was settled, although its run came to its end');
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

async function wrongRows(world: World, taskId: TaskId): Promise<string[]> {
  const wrong: string[] = [];
  const attempts = await world.sql`SELECT attempt FROM attempts WHERE task_id = ${taskId} AND ended_at IS NULL`;
  if (attempts.length > 0) wrong.push(`attempt ${attempts.map((row) => row['attempt']).join(', ')} is open`);
  const diffs = await world.sql`SELECT FROM collected_diffs WHERE task_id = ${taskId}`;
  if (diffs.length > 0) wrong.push('its collected diff was not queued');
  return wrong;
}
