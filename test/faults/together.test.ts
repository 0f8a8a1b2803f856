/** Many tasks at once on one repository. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';

let lab: Lab;
/** With one slot. */
let one: Lab;
beforeAll(async () => {
  [lab, one] = await Promise.all([startLab(), startLab({ slots: 1 })]);
  await Promise.all([lab.startWorker(), one.startWorker()]);
});
afterAll(async () => {
  await lab.close();
  await one.close();
});

test('of tasks that wait for a slot the one with the better priority begins first, then the older one', async () => {
  const gate = one.gate();
  const first = await one.submit({ input: `run cat ${gate.path}` });
  await one.untilFrame(first, 'the agent waits', isWaiting);
  const tasks: TaskId[] = [];
  for (const priority of [5, 3, undefined, 1]) {
    const task = await one.submit({ input: 'say done', ...(priority ? { priority } : {}) });
    await one.until('it to wait for a slot', async () => (await one.statusIfRuns(task))?.step === 'create worktree');
    tasks.push(task);
  }
  await gate.open();
  const ended = [];
  for (const task of tasks) ended.push(await one.ended(task));
  const order = ended.toSorted((a, b) => (a.started_at?.getTime() ?? 0) - (b.started_at?.getTime() ?? 0));
  expect(order.map((task) => tasks.indexOf(task.id))).toEqual([3, 1, 2, 0]);
});

test('20 tasks at once on one repository: 20 changes, and nothing else remains in it', async () => {
  await lab.repository.write({ 'dirty.txt': 'not committed', 'README.md': 'edited, not committed' });
  const before = await lab.repository.fingerprint();
  const tasks = await Promise.all(
    Array.from({ length: 20 }, (_, number) =>
      lab.submit({ input: `write file-${number}.txt with number ${number}. append more to README.md` }),
    ),
  );
  for (const task of tasks) await lab.ended(task);
  for (const [number, task] of tasks.entries()) {
    expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
    expect(await lab.changes(task)).toHaveLength(1);
    expect(await lab.inChange(task, `file-${number}.txt`)).toBe(`number ${number}`);
    expect(await lab.leftovers(task)).toEqual([]);
  }
  expect(await lab.repository.fingerprint()).toEqual(before);
  const warned =
    await lab.sql`SELECT DISTINCT task_id FROM frames WHERE type = 'warning' AND body->>'message' ILIKE '%not included%'`;
  expect(warned).toHaveLength(20);
});
