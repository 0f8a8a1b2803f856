/** A run at which every worker fails: Temporal tries it again for ever, and only doctor tells. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkRuns } from '../../maintenance/doctor/runs.ts';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId, WORKFLOW_QUEUE } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
});
afterAll(() => lab.close());

test('a run is named once its workflow task has failed three times in a row', async () => {
  const look = () => checkRuns({ sql: lab.sql, temporal: lab.client });
  const task = await lab.submit({ input: 'say done' });
  await lab.ended(task);
  const taskId = randomUUID() as string as TaskId;
  const run = await lab.client.workflow.start('task', {
    taskQueue: WORKFLOW_QUEUE,
    workflowId: taskWorkflowId(taskId),
    args: [null],
  });
  const check = await lab.until('doctor to see it', async () => {
    const found = await look();
    return found.detail.includes('no worker') && found; // before that it is one without a row
  });
  expect(check.detail).toBe(`1 run that no worker can continue: ${taskId.slice(0, 8)}`);
  await run.terminate();
  await lab.until('nothing to be wrong any more', async () => (await look()).level === 'ok');
});
