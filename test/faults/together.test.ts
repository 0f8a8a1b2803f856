/** Many tasks at once on one repository. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
});
afterAll(() => lab.close());

test('20 tasks at once on one repository: 20 changes, and nothing of them is left in it', async () => {
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
