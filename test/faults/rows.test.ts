/** Changes of rows by other programs while a task runs. Its work is not lost, and its session continues. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { endAttempts } from '../../store/attempts.ts';
import { sessionPage } from '../../store/sessions.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { taskWorkflowId, WORKFLOW_QUEUE } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
});
afterAll(() => lab.close());

async function held(): Promise<{ task: TaskId; goOn: () => Promise<void> }> {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write kept.txt with kept. run cat ${gate.path}` });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  return { task, goOn: () => gate.open() };
}

test('a running task put back to pending: refused', async () => {
  const { task, goOn } = await held();
  await expect(lab.sql`UPDATE tasks SET state = 'pending' WHERE id = ${task}`).rejects.toThrow('runs');
  await goOn();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.changes(task)).toHaveLength(1);
});

test("a worktree path in another home, as in a copied database: nothing at that path is touched, the turn starts over in this home's worktree", async () => {
  const other = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-other-')));
  onTestFinished(() => rm(other, { recursive: true, force: true }));
  const worktree = path.join(other, 'theirs');
  await lab.repository.git('worktree', 'add', '--quiet', '--detach', '--lock', '--reason', 'Longhaul', worktree);
  onTestFinished(async () => void (await lab.repository.git('worktree', 'remove', '--force', '--force', worktree)));
  await writeFile(path.join(worktree, 'theirs.txt'), 'theirs');
  const base = (await lab.repository.git('rev-parse', 'HEAD')).trim();
  const [row] = await lab.sql<{ id: TaskId }[]>`
    INSERT INTO tasks (project_id, input, agent, worktree_path, base_commit)
    VALUES (${lab.projectId}, 'write ours.txt with ours', 'demo', ${worktree}, ${base}) RETURNING id`;
  const task = row?.id as TaskId;
  const { state, session_id, worktree_path } = await lab.ended(task);
  expect([state, worktree_path]).toEqual(['completed', path.join(lab.home, 'worktrees', session_id ?? '')]);
  expect(await lab.inChange(task, 'ours.txt')).toBe('ours');
  await expect(lab.inChange(task, 'theirs.txt')).rejects.toThrow();
  expect(await readFile(path.join(worktree, 'theirs.txt'), 'utf8')).toBe('theirs');
  expect(await readdir(worktree)).not.toContain('ours.txt');
});

test('a final state written by a program: the work is queued, the next task of the session starts', async () => {
  const { task, goOn } = await held();
  await lab.sql`UPDATE tasks SET state = 'completed' WHERE id = ${task}`;
  const { session_id, ended_at } = await lab.task(task);
  expect(ended_at).not.toBeNull();
  await goOn();
  await lab.client.workflow.getHandle(taskWorkflowId(task)).result();
  expect(await lab.changes(task)).toHaveLength(1);
  expect(await lab.leftovers(task)).toEqual([]);
  const next = await lab.submit({ input: 'append more to kept.txt', ...(session_id ? { sessionId: session_id } : {}) });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(next, 'kept.txt')).toContain('kept');
});

test('a final state written while the agent works without an end: the agent is ended, its work queued', async () => {
  const task = await lab.submit({ input: 'write kept.txt with kept. run sleep 600' });
  await lab.untilFrame(task, 'the agent works', isWaiting);
  await lab.sql`UPDATE tasks SET state = 'cancelled' WHERE id = ${task}`;
  await expect(lab.client.workflow.getHandle(taskWorkflowId(task)).result()).rejects.toThrow('cancelled');
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test("a task that a program ended does not take the turn of the session's next task", async () => {
  const { task: first, goOn } = await held();
  const sessionId = (await lab.task(first)).session_id ?? '';
  const gate = lab.gate();
  await goOn();
  await lab.ended(first);
  const waits = await lab.submit({ input: `run cat ${gate.path}. write b.txt with b`, sessionId });
  await lab.untilFrame(waits, 'the agent waits', (frame) => isWaiting(frame) && frame.seq > 20);
  await lab.sql.begin((tx) => endAttempts(tx, first, sessionId as SessionId));
  await gate.open();
  expect(await lab.ended(waits)).toMatchObject({ state: 'completed' });
});

test('a result that a program wrote and the repository does not have: the next task starts from the older one, with a warning', async () => {
  const first = await lab.submit({ input: 'write older.txt with older' });
  const sessionId = (await lab.ended(first)).session_id ?? '';
  const absent = 'ab'.repeat(20);
  await lab.sql`
    INSERT INTO pending_changes (session_id, state, result_commit, created_at)
    VALUES (${sessionId}, 'pending', ${absent}, now() + interval '1 minute')`;
  const next = await lab.submit({ input: 'append more to older.txt', sessionId });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed', error_code: null });
  expect(await lab.inChange(next, 'older.txt')).toBe('older\nmore');
  const warnings = (await lab.frames(next)).filter(({ type }) => type === 'warning');
  expect(warnings.map(({ body }) => body)).toMatchObject([
    { message: expect.stringMatching(`no commit ${absent}.*the older result`) as string },
  ]);

  await lab.sql`UPDATE pending_changes SET result_commit = ${absent} WHERE session_id = ${sessionId}`;
  const last = await lab.submit({ input: 'write new.txt with new', sessionId });
  expect(await lab.ended(last)).toMatchObject({ state: 'completed', error_code: null });
  expect((await lab.changes(last)).map((change) => change.base_commit)).toEqual([
    await lab.repository.git('rev-parse', 'HEAD'),
  ]);
});

test('the project row deleted in mid-turn: the change is still queued', async () => {
  const { task, goOn } = await held();
  const [project] = await lab.sql`DELETE FROM projects WHERE id = ${lab.projectId} RETURNING *`;
  await goOn();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.changes(task)).toHaveLength(1);
  expect(await lab.leftovers(task)).toEqual([]);
  await lab.sql`INSERT INTO projects ${lab.sql(project ?? {})}`;
});

test('the task row deleted in mid-turn: its work stays under its ref, its worktree is removed', async () => {
  const { task, goOn } = await held();
  const { worktree_path } = await lab.task(task);
  await lab.sql`DELETE FROM tasks WHERE id = ${task}`;
  await goOn();
  await expect(lab.client.workflow.getHandle(taskWorkflowId(task)).result()).rejects.toThrow('failed');
  expect(await lab.inChange(task, 'kept.txt')).toBe('kept');
  expect(await lab.repository.git('worktree', 'list')).not.toContain(worktree_path);
});

test('the task row deleted before its run begins: the run ends by itself without an effect', async () => {
  const before = await lab.sql`SELECT FROM sessions`;
  const taskId = randomUUID() as TaskId;
  const run = await lab.client.workflow.start('task', {
    taskQueue: WORKFLOW_QUEUE,
    workflowId: taskWorkflowId(taskId),
    args: [{ taskId, host: 'lab' }],
  });
  expect(await run.result()).toMatchObject({ state: 'failed', code: 'task_gone' }); // as runs of the first version end
  expect(await lab.sql`SELECT FROM sessions`).toHaveLength(before.length);
  expect(await lab.repository.git('worktree', 'list')).not.toContain(taskId);
});

test('the worktree removed in mid-turn by another program: the task fails with worktree_replaced, and no file counts as deleted', async () => {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write lost.txt with lost. run cat ${gate.path}. say done` });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  const { worktree_path } = await lab.task(task);
  await rm(worktree_path ?? '', { recursive: true });
  await gate.open();
  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'worktree_replaced' });
  expect(await lab.changes(task)).toEqual([]);
});

test('a task whose agent reports no tokens has none, nor has its session', async () => {
  const task = await insert({ mode_id: 'no-such-mode' });
  const { session_id } = await lab.ended(task);
  const [row] = await lab.sql`SELECT cost_tokens FROM tasks WHERE id = ${task}`;
  expect(row).toEqual({ cost_tokens: null });
  const { items } = await sessionPage(lab.sql, {}, { limit: 100 });
  expect(items.find(({ id }) => id === session_id)).toMatchObject({ cost_tokens: null });
});

/** As any SQL program would. */
async function insert(row: Record<string, unknown>): Promise<TaskId> {
  const [task] = await lab.sql<{ id: TaskId }[]>`
    INSERT INTO tasks ${lab.sql({ project_id: lab.projectId, input: 'say done', agent: 'demo', ...row })} RETURNING id`;
  return task?.id ?? ('' as TaskId);
}

async function project(path: string): Promise<string> {
  const [row] = await lab.sql<{ id: string }[]>`INSERT INTO projects (name, path) VALUES ('odd', ${path}) RETURNING id`;
  return row?.id ?? '';
}

test('rows with impossible values fail with a message, in their first step', async () => {
  const rows: readonly [Record<string, unknown>, RegExp][] = [
    [{ priority: 9 }, /^priority: expected a whole number from 1 \(first\) to 5, found 9\.$/],
    [
      { project_id: await project(`/${'x'.repeat(50_000)}`) },
      /^project path: expected at most 4096 bytes, found 50001: /,
    ],
    [{ project_id: await project('project') }, /^project path: expected an absolute path, found "project"\.$/],
    [{ project_id: null }, /^The task has no project/],
    [{ agent: 'a'.repeat(300) }, /^agent: expected at most 200 characters, found 300: /],
    [{ model: 'm'.repeat(70_000) }, /^model: expected at most 200 characters, found 70000: /],
    [
      { permission_policy: 'p'.repeat(70_000) },
      /^permission_policy: expected "allow", "deny" or "ask", found "p+…"\.$/,
    ],
    [{ input: 'i'.repeat(1_000_001) }, /^input: expected at most 1000000 characters/],
    [{ session_id: randomUUID() }, /^Session .* does not exist/],
  ];
  for (const [row, words] of rows) {
    const ended = await lab.ended(await insert(row));
    expect(ended).toMatchObject({ state: 'failed', worktree_path: null });
    expect(ended.output_summary).toMatch(words);
  }
});

test('a listed agent with a very long name: its run ends', async () => {
  const name = '\u{1f600}'.repeat(100);
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path)
                SELECT ${name}, true, install_path FROM available_agents WHERE name = 'demo'`;
  // The catalogue knows how the demo is started, not this one: what counts is that the run comes to an end.
  expect(await lab.ended(await insert({ agent: name }))).toMatchObject({
    state: 'failed',
    error_code: 'agent_not_installed',
  });
});

test('a claim in the future, an infinite time, or none: the tasks complete, in a session, too', async () => {
  const earlier = await lab.submit({ input: 'say earlier' });
  const { session_id } = await lab.ended(earlier);
  const tasks = [
    await insert({ agent: 'demo' }),
    await insert({ agent: 'demo' }),
    await insert({ agent: 'demo', session_id }),
    await insert({ agent: 'demo', session_id }),
  ];
  await lab.sql`UPDATE tasks SET created_at = NULL, claimed_at = CASE WHEN claimed_at IS NULL THEN NULL ELSE claimed_at END
                 WHERE id = ANY (${tasks})`;
  const [inFuture, infinite] = await Promise.all([
    insert({ state: 'pending', claimed_at: new Date('2999-01-01') }),
    insert({}).then(async (id) => {
      await lab.sql`UPDATE tasks SET created_at = 'infinity' WHERE id = ${id}`;
      return id;
    }),
  ]);
  for (const id of [...tasks, inFuture, infinite]) expect(await lab.ended(id)).toMatchObject({ state: 'completed' });
});

test("a session's numbers set back, and its tokens out of range, in mid-turn: its tasks complete, its log has no gap", async () => {
  const { task, goOn } = await held();
  const { session_id } = await lab.task(task);
  const sessionId = session_id ?? '';
  await lab.sql`UPDATE sessions SET seq = 0, written = 0, compacted_seq = 4000000 WHERE id = ${sessionId}`;
  for (let i = 0; i < 2; i++) {
    await lab.sql`INSERT INTO messages (session_id, role, content, tokens_used, created_at)
                  VALUES (${sessionId}, 'user', 'x', 9223372036854775807, 'infinity')`;
  }
  await goOn();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  // Without the trigger, as a restored database may be.
  await lab.sql.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`UPDATE sessions SET seq = 1, compacted_seq = 0 WHERE id = ${sessionId}`;
  });
  expect(await lab.ended(await insert({ session_id: sessionId }))).toMatchObject({ state: 'completed' });
  const seqs = await lab.sql<{ seq: number }[]>`SELECT seq FROM frames WHERE session_id = ${sessionId} ORDER BY seq`;
  expect(seqs.map(({ seq }) => seq)).toEqual(seqs.map((_, index) => index + 1));
});
