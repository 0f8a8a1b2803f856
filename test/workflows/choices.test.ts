/** Model, mode, thinking option and commands: checked before a task is accepted, standing after a kill, run by name. */
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentOffers, offerOf } from '../../cli/agent-offers.ts';
import { findChange } from '../../store/change-views.ts';
import { findTask } from '../../store/task-views.ts';
import { submit } from '../../client/submit.ts';
import type { ChangeId } from '../../contract/ids.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';

let lab: Lab;
let worker: LabWorker;
beforeAll(async () => {
  lab = await startLab();
  worker = await lab.startWorker();
});
afterAll(() => lab.close());

const deps = () => ({ sql: lab.sql, temporal: lab.client });

test('an agent of which nothing is known is asked before a task is accepted', async () => {
  const submission = { projectPath: lab.repository.path, agent: 'demo', input: 'say hello', model: 'silent' };
  await expect(submit(deps(), submission)).rejects.toMatchObject({
    code: 'option_not_available',
    message: expect.stringContaining('demo does not offer the model "silent"; it offers plain, loud.') as string,
  });
  const { taskId, note } = await submit(deps(), {
    ...submission,
    model: 'loud',
    modeId: 'look',
    thinkingOptionId: 'on',
  });
  expect(note).toBeUndefined();
  await lab.ended(taskId);
  expect(await findTask(lab.sql, taskId)).toMatchObject({ ran: { model: 'loud', mode: 'look', thinking: 'on' } });
}, 60_000);

test('model, mode and thinking option stand after a kill of the worker, as the agent reports them; the change names them', async () => {
  const words = 'one two three four five six seven eight';
  const input = `write first.txt with first. slowly over 6 seconds. say ${words}. write second.txt with second`;
  const task = await lab.submit({ input, model: 'loud', modeId: 'edit', thinkingOptionId: 'on' });
  await lab.until('some of its words', async () => (await lab.frames(task)).filter(({ type }) => type === 'delta').length > 1); // prettier-ignore
  worker.kill('SIGKILL');
  worker = await lab.startWorker();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  const attempts = await lab.sql<{ ran: unknown }[]>`SELECT ran FROM attempts WHERE task_id = ${task} ORDER BY attempt`;
  const ran = { model: 'loud', mode: 'edit', thinking: 'on', agent_version: expect.any(String) as string };
  expect(attempts.map((attempt) => attempt.ran)).toEqual([ran, ran]);
  const [change] = await lab.changes(task);
  expect(await findChange(lab.sql, change?.id as ChangeId)).toMatchObject({ ran });
}, 90_000);

test('`longhaul agents` waits for agents of which nothing is known, and not for one that hangs', async () => {
  const hangs = path.join(lab.home, 'hangs.sh');
  await writeFile(hangs, '#!/bin/sh\nexec sleep 1000\n');
  await chmod(hangs, 0o755);
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path)
                VALUES ('hangs', true, ${hangs}), ('gemini', false, '/bin/false')`;
  const begun = performance.now();
  const offers = await agentOffers(deps());
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(Object.fromEntries(offers)).toMatchObject({
    demo: { status: 'ready', models: [{ id: 'plain' }, { id: 'loud' }] },
    gemini: { status: 'ready' },
    native: { status: 'ready' },
    hangs: { status: 'loading' },
  });
}, 60_000);

test('an input that begins with a command runs it; followers have the commands at once, and none after the end', async () => {
  await offerOf(deps(), 'demo', lab.projectId);
  const task = await lab.submit({ input: '/write hello.txt with Hello' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'hello.txt')).toBe('Hello');
  const frames = await lab.frames(task);
  const lists = frames.filter(({ type }) => type === 'agent_commands').map(({ body }) => body['commands']);
  expect(lists[0]).toContainEqual({ name: 'write', description: 'write FILE with TEXT' });
  expect(lists.at(-1)).toEqual([]);
  expect(frames.slice(-2).map(({ type }) => type)).toEqual(['agent_commands', 'task_state']);
}, 60_000);
