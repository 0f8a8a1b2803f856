/** The database file of the embedded Temporal is lost or damaged while its home is down: `up -d` continues from the rows. */
import { execFile } from 'node:child_process';
import { open, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';

const run = promisify(execFile);
const FILES = { 'first.txt': 'first', 'second.txt': 'second' };

let lab: LabHome;
beforeAll(async () => {
  lab = await startHome({ env: { LONGHAUL_AGENT_SLOTS: '1' } });
});
afterAll(() => lab.close());

const folder = (): string => path.join(lab.home, 'temporal');
const database = (): string => path.join(folder(), 'temporal.db');

interface Open {
  readonly working: TaskId;
  readonly waiting: TaskId;
  readonly goOn: () => Promise<void>;
}

/** One task at work and one that waits for its slot; the home is down. */
async function downWithOpenTasks(): Promise<Open> {
  const gate = lab.seen.gate();
  const working = await lab.seen.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.seen.untilFrame(working, 'the agent waits', isWaiting);
  const waiting = await lab.seen.submit({ input: 'write first.txt with first. write second.txt with second' });
  expect(await lab.command('down')).toMatchObject({ code: 0 });
  return { working, waiting, goOn: () => gate.open() };
}

async function expectBothDone({ working, waiting, goOn }: Open): Promise<void> {
  await goOn();
  for (const task of [working, waiting]) await expectWhole(lab.seen, task, { files: FILES });
}

async function removeDatabase(): Promise<void> {
  for (const name of await readdir(folder())) if (/^temporal\.db(-|$)/.test(name)) await rm(path.join(folder(), name));
}

const asideNow = async (): Promise<string[]> =>
  (await readdir(folder())).filter((name) => /^temporal\.db\.damaged-\w+$/.test(name));

test('removed: open tasks continue', async () => {
  const tasks = await downWithOpenTasks();
  await removeDatabase();
  await lab.up();
  await expectBothDone(tasks);
  expect(await asideNow()).toEqual([]);
});

test.each([
  ['empty', () => truncate(database())],
  ['no database', () => writeFile(database(), 'x'.repeat(20_000))],
])('%s: it is set aside, status reports it, and open tasks continue', async (_, damage) => {
  const before = await asideNow();
  const tasks = await downWithOpenTasks();
  await rm(`${database()}-wal`, { force: true });
  await damage();
  await lab.up();
  const [aside, ...others] = (await asideNow()).filter((name) => !before.includes(name));
  expect(others).toEqual([]);
  expect((await lab.command('status')).stdout).toContain(
    `contained no tables and is now ${path.join(folder(), aside ?? 'none')}`,
  );
  await expectBothDone(tasks);
});

test('damaged pages: up names the file and a command; after the command open tasks continue', async () => {
  const tasks = await downWithOpenTasks();
  const handle = await open(database(), 'r+');
  const { size } = await handle.stat();
  await handle.write(Buffer.alloc(size - 4096, 'x'), 0, size - 4096, 4096);
  await handle.close();
  const { code, stderr } = await lab.command('up', '-d');
  expect(code).toBe(4);
  expect(stderr).toContain(`is damaged: ${database()}`);
  const command = /(mkdir .*) && longhaul up -d$/m.exec(stderr)?.[1] ?? '';
  expect(await lab.command('down')).toMatchObject({ code: 0 });
  await run('sh', ['-c', command]);
  await lab.up();
  await expectBothDone(tasks);
});
