/** What Temporal stores of a task: how it ended, and none of its text if the settings exclude it. */
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';

let lab: Lab;
afterEach(() => lab.close());

const run = (task: TaskId) => lab.client.workflow.getHandle(taskWorkflowId(task));

async function failureOf(task: TaskId): Promise<unknown> {
  const error: unknown = await run(task)
    .result()
    .catch((thrown: unknown) => thrown);
  return error instanceof WorkflowFailedError ? error.cause : error;
}

async function cancelledByRow(): Promise<TaskId> {
  const task = await lab.submit({ input: 'write a.txt with a. run sleep 600' });
  await lab.untilFrame(task, 'the agent works', isWaiting);
  await lab.sql`UPDATE tasks SET state = 'cancelled' WHERE id = ${task}`;
  return task;
}

async function cancelledByPerson(input = 'write a.txt with a. hang'): Promise<TaskId> {
  const task = await lab.submit({ input });
  await lab.untilPhase(task, 'working');
  await lab.cancel(task);
  return task;
}

test('a run ends as its task: completed, failed with code and message, cancelled', async () => {
  lab = await startLab();
  await lab.startWorker();
  const [completed, failed] = [await lab.submit({ input: 'say done' }), await lab.submit({ input: 'refuse' })];
  const cancelled = [await cancelledByPerson(), await cancelledByRow()];
  const inWebUi = await lab.submit({ input: 'hang' });
  await lab.untilPhase(inWebUi, 'working');
  await run(inWebUi).cancel();
  for (const task of [completed, failed, ...cancelled, inWebUi]) await lab.ended(task);
  const statusOf = async (task: TaskId): Promise<string> => (await run(task).describe()).status.name;
  expect(await statusOf(completed)).toBe('COMPLETED');
  expect(await statusOf(failed)).toBe('FAILED');
  for (const task of [...cancelled, inWebUi]) expect(await statusOf(task)).toBe('CANCELLED');
  const failure = await failureOf(failed);
  const { error_code, output_summary } = await lab.task(failed);
  expect(failure).toBeInstanceOf(ApplicationFailure);
  expect(failure).toMatchObject({ type: error_code, message: output_summary });
  expect(await lab.task(cancelled[0] as TaskId)).toMatchObject({
    state: 'cancelled',
    output_summary: 'Cancelled: test',
  });
  // What the test below looks through has words, if they are not kept out.
  expect(await knownToTemporal(failed)).toMatch(/refuse[^]*demo refused/);
  // A failed task is no trouble of the worker's.
  expect(await lab.logs()).not.toContain('Workflow failed');
});

/** All that Temporal has of a run, payloads decoded. */
async function knownToTemporal(task: TaskId): Promise<string> {
  const history = historyToJSON(await run(task).fetchHistory());
  const described = JSON.stringify((await run(task).describe()).raw);
  let listed: unknown;
  await lab.until('the run in the list', async () => {
    for await (const found of lab.client.workflow.list({ query: `WorkflowId = '${taskWorkflowId(task)}'` }))
      if (found.status.name !== 'RUNNING') listed = found.raw;
    return listed !== undefined;
  });
  const all = [history, described, JSON.stringify(listed)].join('\n');
  const payloads = [...all.matchAll(/"([A-Za-z0-9+/]{8,}={0,2})"/g)].map(([, data]) =>
    Buffer.from(data ?? '', 'base64'),
  );
  const bytes = [...all.matchAll(/"data":\[([\d,]+)\]/g)].map(([, list]) =>
    Buffer.from((list ?? '').split(',').map(Number)),
  );
  return [all, ...payloads, ...bytes].join('\n');
}

test('LONGHAUL_TEMPORAL_CONTENT=none: history and visibility contain no prompts, agents or projects; rows contain all of them', async () => {
  lab = await startLab({ temporalContent: 'none' });
  await lab.startWorker();
  await lab.sql`UPDATE projects SET name = 'Geheimnis project'`;
  const tasks = {
    completed: await lab.submit({
      input: 'Geheimnis: plan. write Geheimnis.txt with Geheimnis. run echo Geheimnis. say Geheimnis',
    }),
    failed: await lab.submit({ input: 'write Geheimnis.txt with x. refuse' }),
    unlisted: await lab.submit({ input: 'Geheimnis', agent: 'Geheimnis' }),
    cancelled: await cancelledByPerson('write Geheimnis.txt with Geheimnis. think Geheimnis. hang'),
  };
  await lab.sql`UPDATE tasks SET cancel_reason = 'Geheimnis' WHERE id = ${tasks.cancelled}`;
  for (const task of Object.values(tasks)) await lab.ended(task);
  for (const task of Object.values(tasks)) {
    const known = await knownToTemporal(task);
    expect(known).toContain(taskWorkflowId(task));
    for (const word of ['Geheimnis', 'demo', 'echo']) expect(known).not.toContain(word);
  }
  expect(await failureOf(tasks.failed)).toMatchObject({
    type: 'agent_refused',
    message: expect.stringContaining('longhaul show') as string,
  });
  expect((await lab.task(tasks.failed)).output_summary).toContain('demo refused to do this');
  expect((await lab.task(tasks.unlisted)).output_summary).toContain('which is not listed in available_agents');
  expect((await lab.task(tasks.completed)).output_summary).toContain('Geheimnis');
  expect(await lab.sql`SELECT FROM tasks WHERE withheld IS NOT NULL`).toHaveLength(0);
});
