/** A task whose agent only waits for a person has no agent and no slot; an answer wakes it, whichever way it comes. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerPermission, getPermission, listPermissions, type Permission } from '../../client/permissions.ts';
import type { TaskId } from '../../contract/ids.ts';
import { ANSWER_PERMISSION, taskWorkflowId } from '../../contract/names.ts';
import { FORM } from '../agents/scripts.ts';
import { type FailingAgents, startFailingAgents } from '../failing-agents/lab.ts';
import type { Lab, LabWorker } from '../lab/lab.ts';

const ENV = { LONGHAUL_HIBERNATE_AFTER: '1' };
let agents: FailingAgents;
let lab: Lab;
let worker: LabWorker;
beforeAll(async () => {
  agents = await startFailingAgents({ slots: 1, env: ENV });
  ({ lab, worker } = agents);
});
afterAll(() => agents.close());

const INPUT = 'write a.txt with a. ask before b.txt. write b.txt with b';
const asking = (more = {}): Promise<TaskId> => lab.submit({ input: INPUT, permissionPolicy: 'ask', ...more });

const waiting = (taskId: TaskId): Promise<Permission> =>
  lab.until('a permission request', async () => (await listPermissions(lab, { taskId, state: 'pending' }))[0]);

/** Resolves with its request, when the workflow waits for the answer. */
async function hibernating(taskId: TaskId): Promise<Permission> {
  const asked = await waiting(taskId);
  await lab.until('hibernation', async () => (await lab.status(taskId)).step === 'wait for an answer');
  return asked;
}

const answer = (asked: Permission, given: string): Promise<Permission> =>
  answerPermission(lab, { id: asked.id, answer: given, by: 'test' });

/** Asked once, answered once, delivered once; the change has what was allowed. */
async function expectOnce(task: TaskId, asked: Permission, by = 'test'): Promise<void> {
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await listPermissions(lab, { taskId: task })).toMatchObject([{ id: asked.id, state: 'delivered', answered_by: by }]); // prettier-ignore
  expect(await lab.inChange(task, 'b.txt')).toBe('b');
  expect(await lab.leftovers(task)).toEqual([]);
  const frames = (await lab.frames(task)).filter(({ type }) => type.startsWith('permission_'));
  expect(frames.map(({ type }) => type)).toEqual(['permission_requested', 'permission_resolved']);
}

test('it holds no agent and no slot, keeps its worktree and shows the question; the answer continues it', async () => {
  const task = await asking();
  const asked = await hibernating(task);
  expect(await lab.status(task)).toMatchObject({ phase: 'waiting_permission', question: asked.title });
  const { worktree_path: worktree, phase } = await lab.task(task);
  expect([phase, existsSync(worktree ?? '')]).toEqual(['waiting_permission', true]);
  const [attempt] = await lab.sql<{ pid: number; outcome: object }[]>`SELECT pid, outcome FROM attempts WHERE task_id = ${task}`; // prettier-ignore
  expect(attempt?.outcome).toMatchObject({ kind: 'hibernated' });
  expect(existsSync(`/proc/${attempt?.pid}`)).toBe(false);
  // The one slot of the host is free.
  expect(await lab.ended(await lab.submit({ input: 'write c.txt with c' }))).toMatchObject({ state: 'completed' });
  await answer(asked, 'allow');
  await expectOnce(task, asked);
});

test('a refusal wakes it, too: the agent does not do it, and the summary says so', async () => {
  const task = await asking();
  await answer(await hibernating(task), 'deny');
  const { state, output_summary: summary } = await lab.ended(task);
  expect([state, summary]).toEqual(['completed', expect.stringContaining('Not allowed: Change b.txt')]);
  expect((await lab.changes(task))[0]?.diff).not.toContain('b.txt');
});

test('a Temporal update wakes it', async () => {
  const task = await asking();
  const asked = await hibernating(task);
  const handle = lab.client.workflow.getHandle(taskWorkflowId(task));
  await handle.executeUpdate(ANSWER_PERMISSION, { args: [{ permissionId: asked.id, answer: 'allow' }] });
  await expectOnce(task, asked, 'temporal');
});

test('a cancel ends it', async () => {
  const task = await asking();
  const asked = await hibernating(task);
  await lab.cancel(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'cancelled', chosen: null });
  expect(await lab.inChange(task, 'a.txt')).toBe('a'); // what was written is kept
});

test('after its time the default answers', async () => {
  const task = await asking({ permissionTimeoutS: 6 });
  const asked = await hibernating(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'expired', chosen: 'o2', answered_by: 'timeout' });
  expect(await listPermissions(lab, { taskId: task })).toHaveLength(1);
});

test('an agent that asks for another command after it resumed gets no answer of the earlier request', async () => {
  const ask = (command: string) => ({
    ask: 'session/request_permission',
    params: {
      sessionId: 'scripted-session',
      toolCall: { toolCallId: 'c', title: 'Clean', kind: 'execute', rawInput: { command } },
      options: [
        { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
        { optionId: 'no', name: 'No', kind: 'reject_once' },
      ],
    },
  });
  const first = { once: path.join(lab.home, 'asked'), do: [ask('rm -rf build'), { hang: true }] } as const;
  const name = await agents.agent({ load: {} });
  const input = JSON.stringify([first, ask('rm -rf build/'), { stop: 'end_turn' }]);
  const task = await lab.submit({ agent: name, input, permissionPolicy: 'ask' });
  const asked = await hibernating(task);
  expect(asked.title).toContain('rm -rf build');
  await answer(asked, 'allow');
  const other = await waiting(task);
  expect([other.id === asked.id, other.title]).toEqual([false, 'Clean: rm -rf build/']);
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'superseded', chosen: 'yes' });
  await answer(other, 'deny');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await agents.content(task)).not.toContain('"yes"');
  expect(await listPermissions(lab, { taskId: task })).toMatchObject([{ state: 'superseded' }, { state: 'delivered', chosen: 'no' }]); // prettier-ignore
});

test('a form hibernates, too: the answer by a Temporal update is checked, and reaches the agent that asks again', async () => {
  const first = { once: path.join(lab.home, 'form-asked'), do: [FORM, { hang: true }] } as const;
  const name = await agents.agent({ load: {} });
  const input = JSON.stringify([first, FORM, { stop: 'end_turn' }]);
  const task = await lab.submit({ agent: name, input, permissionPolicy: 'ask' });
  const asked = await hibernating(task);
  expect(asked).toMatchObject({ kind: 'elicitation', title: 'Which service?' });
  const handle = lab.client.workflow.getHandle(taskWorkflowId(task));
  const update = (content: object) => handle.executeUpdate(ANSWER_PERMISSION, { args: [{ permissionId: asked.id, answer: 'accept', content }] }); // prettier-ignore
  await expect(update({ name: 5 })).rejects.toMatchObject({ cause: { type: 'form_not_valid', message: expect.stringContaining('/name') as string } }); // prettier-ignore
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'pending' });
  await update({ name: 'Ada' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await agents.content(task)).toContain('{"action":"accept","content":{"name":"Ada","size":3}}');
  expect(await listPermissions(lab, { taskId: task })).toMatchObject([{ id: asked.id, state: 'delivered', answered_by: 'temporal', content: { name: 'Ada', size: 3 } }]); // prettier-ignore
  const frames = (await lab.frames(task)).filter(({ type }) => type.startsWith('permission_'));
  expect(frames.map(({ type }) => type)).toEqual(['permission_requested', 'permission_resolved']);
});

test('an answer to a form serves no form that differs after the resume', async () => {
  const other = { ...FORM, params: { ...FORM.params, message: 'Which other service?' } };
  const first = { once: path.join(lab.home, 'other-form'), do: [FORM, { hang: true }] } as const;
  const name = await agents.agent({ load: {} });
  const input = JSON.stringify([first, other, { stop: 'end_turn' }]);
  const task = await lab.submit({ agent: name, input, permissionPolicy: 'ask' });
  const asked = await hibernating(task);
  await answerPermission(lab, { id: asked.id, answer: 'accept', content: { name: 'Ada' }, by: 'test' });
  const again = await waiting(task);
  expect([again.id === asked.id, again.title]).toEqual([false, 'Which other service?']);
  await answer(again, 'deny');
  const { state, output_summary: summary } = await lab.ended(task);
  expect([state, summary]).toEqual(['completed', expect.stringContaining('Not answered: Which other service?')]);
  expect(await agents.content(task)).not.toContain('Ada');
});

test.each([
  ['deletes its request', (id: string) => lab.sql`DELETE FROM permissions WHERE id = ${id}`],
  ['sets a state of its own', (id: string) => lab.sql`UPDATE permissions SET state = 'odd' WHERE id = ${id}`],
])('another program %s: the task wakes, and its agent asks again', async (_name, change) => {
  const task = await asking();
  const { id } = await hibernating(task);
  await change(id);
  const again = await lab.until('another request', async () =>
    (await listPermissions(lab, { taskId: task, state: 'pending' })).find((one) => one.id !== id),
  );
  await answer(again, 'allow');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'b.txt')).toBe('b');
});

test('another program gives the request a time that has passed: the default answers', async () => {
  const task = await asking();
  const { id } = await hibernating(task);
  await lab.sql`UPDATE permissions SET expires_at = '-infinity' WHERE id = ${id}`;
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect((await listPermissions(lab, { taskId: task })).map(({ state, chosen }) => [state, chosen])).toEqual([['expired', 'o2']]); // prettier-ignore
});

test('an agent that cannot resume is not ended', async () => {
  const ask = { ask: 'session/request_permission', params: { sessionId: 'scripted-session', toolCall: { toolCallId: 'c', title: 'It', kind: 'other' }, options: [{ optionId: 'yes', name: 'Yes', kind: 'allow_once' }] } }; // prettier-ignore
  const name = await agents.agent({});
  const task = await lab.submit({ agent: name, input: JSON.stringify([ask, { stop: 'end_turn' }]), permissionPolicy: 'ask' }); // prettier-ignore
  const asked = await waiting(task);
  const resting = await asking(); // its agent waits for the one slot
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // longer than it takes to hibernate
  expect(await lab.status(task)).toMatchObject({ step: 'dispatch agent', phase: 'waiting_permission' });
  await answer(asked, 'allow');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  await lab.cancel(resting);
  await lab.ended(resting);
});

test('a worker killed while the task hibernates: the answer comes without a worker, and the next worker continues', async () => {
  const task = await asking();
  const asked = await hibernating(task);
  worker.kill('SIGKILL');
  await worker.exited;
  await answer(asked, 'allow');
  worker = await lab.startWorker(ENV);
  await expectOnce(task, asked);
});
