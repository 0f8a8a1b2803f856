/** A provider's usage limit whose end is known: the task waits with a timer, and nothing else. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMarked } from '../../agents/process/end.ts';
import type { TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import type { Step } from '../agents/scripted-agent.ts';
import { text } from '../agents/scripts.ts';
import { type FailingAgents, HALF, startFailingAgents } from '../failing-agents/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { TaskFacts } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';

let agents: FailingAgents;
let lab: Lab;
beforeAll(async () => {
  agents = await startFailingAgents({ slots: 1 });
  ({ lab } = agents);
});
afterAll(() => agents.close());

const limit = (inSeconds: number): Step => ({
  error: {
    code: -32603,
    message: `Internal error: 429 You exceeded your current quota. Please retry in ${inSeconds}.0s.`,
  },
});

let marks = 0;
/** Half of the work, then the limit; the continued turn does the rest. */
const untilLimit = (inSeconds: number, before: readonly Step[] = HALF): Step => ({
  once: path.join(lab.home, `limit-${(marks += 1)}`),
  do: [...before, limit(inSeconds)],
});
const REST: readonly Step[] = [
  { write: 'rest.txt', content: 'rest' },
  { echo: 'received' },
  { update: text(' the rest is done') },
  { stop: 'end_turn' },
];
/** It can load its session. */
const LOADS = { load: {} };

async function waits(task: TaskId): Promise<TaskFacts> {
  return lab.untilPhase(task, 'waiting_limit');
}

async function untilOf(task: TaskId): Promise<Date | null> {
  const [row] = await lab.sql<{ waits_until: Date | null }[]>`SELECT waits_until FROM tasks WHERE id = ${task}`;
  return row?.waits_until ?? null;
}

/** Open tool calls, text and change are what both halves of the turn left. */
async function expectResumed(task: TaskId, attempts: number): Promise<void> {
  await expectWhole(lab, task, { files: { 'half.txt': 'half', 'rest.txt': 'rest' } });
  expect(await agents.attempts(task)).toEqual(Array.from({ length: attempts }, () => null));
  const assistant = (await lab.messages(task)).filter(({ role }) => role === 'assistant');
  expect(assistant).toMatchObject([
    { status: 'complete', content: expect.stringMatching(/^half is done.*the rest is done$/s) as string },
  ]);
  expect(assistant[0]?.content).toContain('"session/load"');
  expect(assistant[0]?.content).not.toContain('"session/new"');
  expect((await lab.frames(task)).filter(({ type }) => type === 'message_reset')).toEqual([]);
  expect(await untilOf(task)).toBeNull();
}

test('a waiting task has no slot and no process, keeps its worktree and session, and a cancel ends it at once', async () => {
  const task = await agents.play(LOADS, [untilLimit(3_600), ...REST]);
  const { session_id: sessionId, worktree_path: worktree } = await waits(task);
  const next = await lab.submit({ input: 'say hello', sessionId: sessionId ?? '' });
  const other = await lab.submit({ input: 'write other.txt with other' });

  expect(await lab.ended(other)).toMatchObject({ state: 'completed' }); // there is one slot
  expect(findMarked(task)).toEqual([]);
  expect(existsSync(path.join(worktree ?? '', 'half.txt'))).toBe(true);
  const waitsUntil = (await untilOf(task))?.toISOString();
  expect(Date.parse(waitsUntil ?? '')).toBeGreaterThan(Date.now() + 3_000_000);
  expect(await lab.status(task)).toMatchObject({ phase: 'waiting_limit', step: 'wait for the limit', waitsUntil });
  const reported = (await lab.frames(task)).filter(({ body }) => body['phase'] === 'waiting_limit');
  expect(reported).toMatchObject([
    { type: 'task_state', body: { state: 'running', waits_until: waitsUntil, attempt: 1 } },
  ]);
  await lab.until('Temporal to find it by its phase', async () => {
    const { count } = await lab.client.workflow.count(
      "LonghaulPhase = 'waiting_limit' AND ExecutionStatus = 'Running'",
    );
    return count === 1;
  });
  expect(await lab.task(next)).toMatchObject({ state: 'pending', run_id: null });

  await lab.cancel(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled', output_summary: 'Cancelled: test' });
  expect(await untilOf(task)).toBeNull();
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
  expect(await lab.ended(next)).toMatchObject({ state: 'completed' });
  expect(await lab.leftovers(task)).toEqual([]);
});

test('when the limit is lifted the turn continues in its session and worktree, also several times', async () => {
  const again = untilLimit(2, [{ update: text(' again') }]);
  const gate = path.join(lab.home, 'gate');
  const task = await agents.play(LOADS, [untilLimit(2), again, { waitFor: gate }, ...REST]);
  await lab.until('the second wait', async () => (await agents.attempts(task)).length === 3);
  await lab.untilPhase(task, 'working');
  const status = await lab.status(task);
  expect(status).toMatchObject({ phase: 'working', step: 'dispatch agent', progress: { attempt: 3 } });
  expect(status).not.toHaveProperty('waitsUntil');
  await writeFile(gate, '');

  await expectResumed(task, 3);
  // The phase `working` is reported only if it lasts some time.
  const reported = (await lab.frames(task)).filter(
    ({ type, body }) => type === 'task_state' && body['phase'] !== 'working',
  );
  const waited = ['waiting_limit', 'queued', 'starting'];
  const phases = ['preparing', 'starting', ...waited, ...waited, 'collecting', 'completed'];
  expect(reported.map(({ body }) => body['phase'])).toEqual(phases);
  expect(reported.map(({ body }) => body['error_code'])).toEqual(
    phases.map((phase, at) => (phase === 'starting' && at > 1 ? 'usage_limit' : undefined)),
  );
  const warnings = (await lab.frames(task)).filter(({ type }) => type === 'warning');
  expect(warnings).toMatchObject([{}, {}]);
  expect(warnings[0]?.body['message']).toMatch(/reached a limit .* continues by itself at 20\d\d-/);
});

test('the worker is killed and Temporal restarted while it waits: it continues', async () => {
  const task = await agents.play(LOADS, [untilLimit(10), ...REST]);
  await waits(task);
  agents.worker.kill('SIGKILL');
  lab.killTemporal();
  await agents.worker.exited;
  await lab.reviveTemporal();
  await lab.startWorker();

  await expectResumed(task, 2);
});

test('terminated while it waits: the closing steps still run', async () => {
  const task = await agents.play(LOADS, [untilLimit(3_600), ...REST]);
  await waits(task);
  await lab.client.workflow.getHandle(taskWorkflowId(task)).terminate('test');
  await lab.settleLost();
  await lab.client.workflow.getHandle(settleWorkflowId(task)).result();

  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'terminated' });
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
  expect(await lab.leftovers(task)).toEqual([]);
});

/** What the backend does every minute. */
async function untilTold(task: TaskId): Promise<void> {
  const run = lab.client.workflow.getHandle(taskWorkflowId(task));
  await lab.until('the run to end', async () => {
    await lab.settleLost();
    return (await run.describe()).status.name !== 'RUNNING';
  });
}

test('a program ends its row while it waits: the run ends, its work is kept', async () => {
  const task = await agents.play(LOADS, [untilLimit(3_600), ...REST]);
  await waits(task);
  await lab.sql`UPDATE tasks SET state = 'failed' WHERE id = ${task}`;
  await untilTold(task);

  expect(await lab.task(task)).toMatchObject({ state: 'failed' });
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test('its row is deleted while it waits: the run ends, its work stays as a commit', async () => {
  const task = await agents.play(LOADS, [untilLimit(3_600), ...REST]);
  const { worktree_path: worktree } = await waits(task);
  await lab.sql`DELETE FROM tasks WHERE id = ${task}`;
  await untilTold(task);

  expect(existsSync(worktree ?? '')).toBe(false);
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
});

test('a run that was started by an older version does not wait: usage_limit', async () => {
  const agent = await agents.agent(LOADS);
  const input = JSON.stringify([untilLimit(1), ...REST]);
  const [row] = await lab.sql<{ id: TaskId }[]>`
    INSERT INTO tasks (project_id, input, agent, claimed_at)
    VALUES (${lab.projectId}, ${input}, ${agent}, clock_timestamp()) RETURNING id`;
  const task = row?.id ?? ('' as TaskId);
  const args = [{ taskId: task, host: 'lab', commands: 2 }];
  const options = { taskQueue: 'longhaul', workflowId: taskWorkflowId(task), args };
  const run = await lab.client.workflow.start('task', options);
  await lab.sql`UPDATE tasks SET run_id = ${run.firstExecutionRunId} WHERE id = ${task}`;

  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'usage_limit' });
  expect(await agents.attempts(task)).toEqual([null]);
  expect(await lab.leftovers(task)).toEqual([]);
});
