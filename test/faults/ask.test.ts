/** A task with the policy `ask` waits for a person, and an answer serves the request that the person saw, once. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerPermission, getPermission, listPermissions, type Permission } from '../../client/permissions.ts';
import type { TaskId } from '../../contract/ids.ts';
import { ANSWER_PERMISSION, taskWorkflowId } from '../../contract/names.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';

let lab: Lab;
let worker: LabWorker;
beforeAll(async () => {
  lab = await startLab({ slots: 4 });
  worker = await lab.startWorker();
});
afterAll(() => lab.close());

const INPUT = 'write a.txt with a. ask before b.txt. write b.txt with b';

const asking = (more = {}): Promise<TaskId> => lab.submit({ input: INPUT, permissionPolicy: 'ask', ...more });

/** The one request of the task that waits. */
const waiting = (taskId: TaskId): Promise<Permission> =>
  lab.until('a permission request', async () => (await listPermissions(lab, { taskId, state: 'pending' }))[0]);

const answer = (asked: Permission, given: string): Promise<Permission> =>
  answerPermission(lab, { id: asked.id, answer: given, by: 'test' });

const requests = (taskId: TaskId): Promise<Permission[]> => listPermissions(lab, { taskId });

test('allowed: the agent continues, and the log has request and answer', async () => {
  const task = await asking();
  const asked = await waiting(task);
  expect(asked).toMatchObject({ kind: 'tool', title: expect.stringContaining('b.txt') as string, expires_at: null });
  // The agent's "always" is not among them, because "once" is.
  expect(asked.options.map(({ option_id: id }) => id)).toEqual(['o3', 'longhaul:always:session', 'longhaul:always:project', 'o2']); // prettier-ignore
  await lab.untilPhase(task, 'waiting_permission');
  await answer(asked, 'allow');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'b.txt')).toBe('b');
  expect(await requests(task)).toMatchObject([{ state: 'delivered', chosen: 'o3', answered_by: 'test' }]);
  const frames = (await lab.frames(task)).filter(({ type }) => type.startsWith('permission_'));
  expect(frames.map(({ type }) => type)).toEqual(['permission_requested', 'permission_resolved']);
});

test('denied: the agent does not do it, and a warning says what was refused', async () => {
  const task = await asking();
  await answer(await waiting(task), 'deny');
  const { state, output_summary: summary } = await lab.ended(task);
  expect([state, summary]).toEqual(['completed', expect.stringContaining('Not allowed: Change b.txt')]);
  const files = await lab.changes(task);
  expect(files[0]?.diff).not.toContain('b.txt');
  const warnings = (await lab.frames(task)).filter(({ type }) => type === 'warning');
  expect(JSON.stringify(warnings)).toContain('Not allowed (the answer was no)');
});

test('of two answers the first counts; the second gets the first', async () => {
  const task = await asking();
  const asked = await waiting(task);
  const both = await Promise.allSettled([answer(asked, 'allow'), answer(asked, 'deny')]);
  const [lost] = both.filter(({ status }) => status === 'rejected');
  expect(lost).toMatchObject({
    reason: { code: 'permission_answered', message: expect.stringMatching(/answer already/) as string },
  });
  await lab.ended(task);
  expect(await requests(task)).toHaveLength(1);
});

test('an answer that is not offered changes nothing', async () => {
  const task = await asking();
  const asked = await waiting(task);
  await expect(answer(asked, 'perhaps')).rejects.toMatchObject({ code: 'invalid_input' });
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'pending' });
  await answer(asked, 'o3');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
});

test('an answer by Temporal update is stored like any other, and refused with its error code', async () => {
  const task = await asking();
  const asked = await waiting(task);
  const update = (answer: string): Promise<unknown> =>
    lab.client.workflow
      .getHandle(taskWorkflowId(task))
      .executeUpdate(ANSWER_PERMISSION, { args: [{ permissionId: asked.id, answer }] });
  await expect(update('perhaps')).rejects.toMatchObject({ cause: { type: 'invalid_input' } });
  expect(await update('allow')).toBe('o3');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await requests(task)).toMatchObject([{ state: 'delivered', answered_by: 'temporal' }]);
});

test('a cancel while it waits ends request and task', async () => {
  const task = await asking();
  const asked = await waiting(task);
  await lab.cancel(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'cancelled', chosen: null });
  await expect(answer(asked, 'allow')).rejects.toMatchObject({ code: 'permission_answered' });
});

test('after its timeout the default answers', async () => {
  const task = await asking({ permissionTimeoutS: 1 });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await requests(task)).toMatchObject([{ state: 'expired', chosen: 'o2', answered_by: 'timeout' }]);
  const other = await asking({ permissionTimeoutS: 1, permissionDefault: 'allow' });
  await lab.ended(other);
  expect(await lab.inChange(other, 'b.txt')).toBe('b');
});

test('a worker killed while it waits: the request stays, and its answer serves the next attempt', async () => {
  const task = await asking();
  const asked = await waiting(task);
  worker.kill('SIGKILL');
  await worker.exited;
  await answer(asked, 'allow'); // no worker runs
  worker = await lab.startWorker();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'b.txt')).toBe('b');
  expect(await requests(task)).toMatchObject([{ id: asked.id, state: 'delivered' }]);
});

test('a worker stopped while it waits: its agent stores no refusal, and the answer serves the next attempt', async () => {
  const task = await asking();
  const asked = await waiting(task);
  worker.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(await getPermission(lab, asked.id)).toMatchObject({ state: 'pending' });
  worker = await lab.startWorker();
  await answer(asked, 'allow');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'b.txt')).toBe('b');
  expect(await requests(task)).toMatchObject([{ id: asked.id, state: 'delivered', chosen: 'o3' }]);
});
