/** What programs do to rows while a task runs. Its work is not lost, and its session goes on. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endAttempts } from '../../store/attempts.ts';
import { type SessionId, type TaskId, taskWorkflowId, WORKFLOW_QUEUE } from '../../workflows/contract.ts';
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

test('a final state written while the agent works on and on: the agent is ended, its work queued', async () => {
  const task = await lab.submit({ input: 'write kept.txt with kept. run sleep 600' });
  await lab.untilFrame(task, 'the agent works', isWaiting);
  await lab.sql`UPDATE tasks SET state = 'cancelled' WHERE id = ${task}`;
  await lab.client.workflow.getHandle(taskWorkflowId(task)).result();
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test('a task that was ended by hand does not take the turn from the next one of its session', async () => {
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

test('the project row deleted in mid-turn: the change is queued all the same', async () => {
  const { task, goOn } = await held();
  const [project] = await lab.sql`DELETE FROM projects WHERE id = ${lab.projectId} RETURNING *`;
  await goOn();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.changes(task)).toHaveLength(1);
  expect(await lab.leftovers(task)).toEqual([]);
  await lab.sql`INSERT INTO projects ${lab.sql(project ?? {})}`;
});

test('the task row deleted in mid-turn: its work stays under its ref, its worktree goes', async () => {
  const { task, goOn } = await held();
  const { worktree_path } = await lab.task(task);
  await lab.sql`DELETE FROM tasks WHERE id = ${task}`;
  await goOn();
  await lab.client.workflow.getHandle(taskWorkflowId(task)).result();
  expect(await lab.inChange(task, 'kept.txt')).toBe('kept');
  expect(await lab.repository.git('worktree', 'list')).not.toContain(worktree_path);
});

test('the task row deleted before its run begins: the run ends by itself, and nothing was done', async () => {
  const before = await lab.sql`SELECT FROM sessions`;
  const taskId = randomUUID() as TaskId;
  const run = await lab.client.workflow.start('task', {
    taskQueue: WORKFLOW_QUEUE,
    workflowId: taskWorkflowId(taskId),
    args: [{ taskId, host: 'lab' }],
  });
  expect(await run.result()).toMatchObject({ state: 'failed', code: 'task_gone' });
  expect(await lab.sql`SELECT FROM sessions`).toHaveLength(before.length);
  expect(await lab.repository.git('worktree', 'list')).not.toContain(taskId);
});

test('the worktree removed by the agent: the task says that its work could not be collected', async () => {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write lost.txt with lost. run cat ${gate.path}. say done` });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  const { worktree_path } = await lab.task(task);
  await rm(worktree_path ?? '', { recursive: true });
  await gate.open();
  await lab.ended(task);
  const warnings = (await lab.frames(task)).filter((frame) => frame.type === 'warning');
  expect(JSON.stringify(warnings)).toContain('is gone');
});
