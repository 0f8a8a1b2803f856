/** A backend that sleeps between its claim of a task and the start of its run, long enough for another to take over. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { type BackendProcess, freePort, startBackendProcess } from '../lab/backend-process.ts';
import { type Held, holdStatement } from '../lab/holds.ts';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
let sleeper: BackendProcess;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
  sleeper = await startBackendProcess({
    databaseUrl: lab.databaseUrl,
    temporalAddress: lab.temporal.address,
    home: lab.home,
    port: await freePort(),
    hostName: 'lab',
  });
});
afterAll(async () => {
  await sleeper?.kill();
  await lab.close();
});

/** Tasks that the sleeper has begun to claim; those before it are the lab's own intake's. */
async function untilItClaims(held: Held): Promise<TaskId[]> {
  const tasks: TaskId[] = [];
  for (;;) {
    const rows = await lab.sql<{ id: TaskId }[]>`
      INSERT INTO tasks (project_id, input, agent)
      SELECT ${lab.projectId}, 'write a.txt with a', 'demo' FROM generate_series(1, 2) RETURNING id`;
    tasks.push(...rows.map((row) => row.id));
    const claimed = await lab.until('the tasks to be claimed', async () => {
      if ((await held.waiting()) > 0) return 'by the sleeper';
      const open = await lab.sql`SELECT FROM tasks WHERE id = ANY (${tasks}) AND run_id IS NULL`;
      return open.length === 0 && 'by the lab';
    });
    if (claimed === 'by the sleeper') return tasks;
  }
}

test('a suspended backend that continues after another has completed its task starts no second run', async () => {
  const held = await holdStatement(lab.databaseUrl, {
    on: 'tasks',
    event: 'UPDATE',
    when: `OLD.claimed_at IS NULL AND NEW.claimed_at IS NOT NULL
           AND current_setting('application_name') = 'longhaul backend'`,
  });
  const tasks = await untilItClaims(held);
  sleeper.child.kill('SIGSTOP');
  await held.release(); // the claim is made, and its maker does not know yet
  for (const task of tasks) expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  const before = sleeper.logged();
  sleeper.child.kill('SIGCONT');
  await lab.until('the sleeper to start what it had claimed', () =>
    Promise.resolve(sleeper.logged().slice(before.length).includes('task started')),
  );

  for (const task of tasks) {
    const { run_id } = await lab.task(task);
    const run = await lab.client.workflow.getHandle(taskWorkflowId(task)).describe();
    expect(run).toMatchObject({ runId: run_id, status: { name: 'COMPLETED' } });
    expect(await lab.changes(task)).toHaveLength(1);
    expect(await lab.leftovers(task)).toEqual([]);
  }
});
