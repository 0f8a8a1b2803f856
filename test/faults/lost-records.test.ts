/**
 * What a home writes about itself is empty after the machine lost its power: records of processes and ports, locks, the
 * record of a worktree. All of it can be found out anew, and a new database password is set. What cannot is named in one line: the token.
 */
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';
import { lockFileName } from '../../worktrees/repository-lock.ts';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };

let lab: LabHome;
beforeAll(async () => {
  lab = await startHome();
});
afterAll(() => lab.close());

/** Paths below the home. */
async function emptied(): Promise<string[]> {
  const records = ['temporal/server.json', 'postgres/server.json'];
  for (const folder of ['run', 'run/supervisor.lock', 'locks']) {
    for (const entry of await readdir(path.join(lab.home, folder), { withFileTypes: true })) {
      if (entry.isFile()) records.push(`${folder}/${entry.name}`);
    }
  }
  for (const record of records) await truncate(path.join(lab.home, record));
  return records;
}

test.each([
  ['with everything killed', 'all' as const],
  ['with the supervisor killed and its parts alive', ['supervisor'] as const],
])('every record is empty, %s: after up the task completes', async (_, victims) => {
  const before = await lab.repository.fingerprint();
  const gate = lab.seen.gate();
  const task = await lab.seen.submit({
    input: `write first.txt with first. say part one. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  await lab.kill(victims);
  const records = await emptied();
  expect(records).toContain('run/state.json');
  expect(records.some((record) => record.endsWith('.worktree.json'))).toBe(true);
  await lab.up();
  await gate.open();

  await expectWhole(lab.seen, task, { files: FILES });
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('an empty lock file is held by no process', async () => {
  const task = await lab.seen.submit({ input: 'write first.txt with first. write second.txt with second' });
  await lab.kill('all');
  // Of this repository's mirror, as one that was being written.
  const mirror = path.join(lab.home, 'mirrors', `${lockFileName(path.join(lab.repository.path, '.git'))}.git`);
  const name = `${lockFileName(mirror)}.lock`;
  await mkdir(path.join(lab.home, 'locks'), { recursive: true });
  await writeFile(path.join(lab.home, 'locks', name), '');
  await lab.up();
  await expectWhole(lab.seen, task, { files: FILES });
});

test('an empty token: `up -d` reports it in one line, and starts once the file is restored', async () => {
  const file = path.join(lab.home, 'token');
  const content = await readFile(file);
  await lab.kill('all');
  await truncate(file);
  const ran = await lab.command('up', '-d');
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toContain('The token file');
  expect(ran.stderr).toContain(file);
  await writeFile(file, content);
  await lab.up();
  await expectWhole(lab.seen, await lab.seen.submit({ input: 'write first.txt with first' }), {
    files: { 'first.txt': 'first' },
  });
});

test('an empty postgres/password: `up -d` sets a new password', async () => {
  await lab.kill('all');
  await truncate(path.join(lab.home, 'postgres', 'password'));
  await lab.up();
  await expectWhole(lab.seen, await lab.seen.submit({ input: 'write first.txt with first' }), {
    files: { 'first.txt': 'first' },
  });
});
