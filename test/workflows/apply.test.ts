/** Changes land: from the request to the files of the user's checkout, by the real command, worker and workflow. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ChangeId, TaskId } from '../../contract/ids.ts';
import { actionWorkflowId } from '../../contract/names.ts';
import { keepHistory } from '../lab/histories.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { longhaulWith, type Ran } from '../lab/longhaul.ts';
import { treeOf } from '../lab/repositories.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ slots: 2, files: { 'README.md': 'one\ntwo\nthree\n', 'old.txt': 'old\n' } });
  await lab.startWorker();
});
afterAll(() => lab.close());

const command = (...args: string[]): Promise<Ran> =>
  longhaulWith(lab.home, args, { databaseUrl: lab.databaseUrl, temporalAddress: lab.temporal.address });

async function changed(input: string): Promise<TaskId> {
  const task = await lab.submit({ input });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  return task;
}

const inProject = (name: string): string => path.join(lab.repository.path, name);

test('a change is applied, undone and applied again; git, index and other files stay; a second apply is refused', async () => {
  const task = await changed('write new.txt with hello. write src/deep.txt with deep');
  await writeFile(inProject('notes.txt'), 'of the user\n');
  await lab.repository.git('add', 'notes.txt');
  const [before, git] = [await treeOf(lab.repository.path), await treeOf(path.join(lab.repository.path, '.git'))];

  const applied = await command('apply', task);
  expect(applied).toMatchObject({ code: 0, stderr: '' });
  expect(applied.stdout).toBe(
    `A new.txt\nA src/deep.txt\n2 files written in ${lab.repository.path}, nothing committed. longhaul undo ${task} takes them back.\n`,
  );
  expect(await readFile(inProject('new.txt'), 'utf8')).toBe('hello\n');
  expect(await treeOf(path.join(lab.repository.path, '.git'))).toEqual(git);
  const again = await command('apply', task);
  expect(again).toMatchObject({ code: 2, stdout: '' });
  expect(again.stderr).toMatch(/^longhaul: Change \w+ cannot be applied: it is applied\./);

  const undone = await command('undo', task);
  expect(undone).toMatchObject({ code: 0, stderr: '' });
  expect(await treeOf(lab.repository.path)).toEqual(before);
  expect(await treeOf(path.join(lab.repository.path, '.git'))).toEqual(git);
  expect(await command('apply', task)).toMatchObject({ code: 0 });
  // `LONGHAUL_RECORD=NAME` keeps the histories under that name, as test/lab/histories.ts says.
  const record = process.env['LONGHAUL_RECORD'];
  const changeId = (await lab.changes(task))[0]?.id as ChangeId;
  for (const kind of record === undefined ? [] : (['apply', 'undo'] as const)) {
    await keepHistory(lab.client, actionWorkflowId(kind, changeId), `${record}-${kind}`);
  }
  const frames = await lab.sql<{ state: string; by: string }[]>`
    SELECT body->>'state' AS state, body->>'by' AS by FROM frames WHERE type = 'change_state' AND task_id = ${task} ORDER BY seq`;
  expect([...frames]).toEqual(['applied', 'undone', 'applied'].map((state) => ({ state, by: 'cli' })));
});

test('a change that does not merge is refused by the names of its files, and nothing is written', async () => {
  const task = await changed('write old.txt with the agent. write beside.txt with x');
  await writeFile(inProject('old.txt'), 'the user\n');
  const before = await treeOf(lab.repository.path);
  const refused = await command('apply', task, '--json');
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(JSON.parse(refused.stderr)).toMatchObject({ error_code: 'change_conflict' });
  expect(refused.stderr).toContain('old.txt: the same lines were changed in the checkout');
  expect(await treeOf(lab.repository.path)).toEqual(before);
  expect(await command('reject', task)).toMatchObject({ code: 0 });
  expect((await command('show', task)).stdout).toMatch(/^change .*rejected$/m);
});
