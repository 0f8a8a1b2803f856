/**
 * The disk of the whole home is full in mid-turn: of both databases, the logs, the records, the worktrees, and of the
 * project, too. Every part continues, or is started again, and works once there is free space.
 */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { mountSmallDisk, type SmallDisk } from '../lab/small-disk.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

/** Of nothing being written anywhere. */
const FULL_MS = 10_000;

let outside: string;
let disk: SmallDisk;
let lab: LabHome;
beforeAll(async () => {
  outside = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-full-')));
  disk = mountSmallDisk(path.join(outside, 'disk'), 300);
  // What the agent itself keeps lies elsewhere: its own failures are another test's.
  lab = await startHome({
    folder: path.join(disk.folder, 'home'),
    env: { XDG_STATE_HOME: path.join(outside, 'agent-state') },
  });
});
afterAll(async () => {
  disk.free();
  await lab.close().finally(() => disk.unmount());
  await rm(outside, { recursive: true, force: true });
});

test('full for some time in mid-turn: no part exits, and the task completes', async () => {
  const before = await lab.repository.fingerprint();
  const gate = lab.seen.gate();
  const { parts } = await lab.up();
  const words = Array.from({ length: 400 }, (_, number) => `word${number}`).join(' ');
  const task = await lab.seen.submit({
    input: `write first.txt with first. slowly over 12 seconds. say ${words}. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.seen.untilFrame(task, 'its words', (frame) => frame.type === 'delta');
  const until = Date.now() + FULL_MS;
  for (; Date.now() < until; await sleep(200)) disk.fill();
  disk.free();
  const after = (await lab.up()).parts;
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  await gate.open();

  await expectWhole(lab.seen, task, { files: { 'first.txt': 'first', 'second.txt': 'second' } });
  expect(await attemptsOf(lab.seen, task)).toMatchObject([{ attempt: 1, error_code: null }]);
  const pidOf = (list: typeof parts, name: string) => list.find((part) => part.name === name)?.pid;
  for (const name of ['supervisor', 'worker', 'backend']) expect(pidOf(after, name)).toBe(pidOf(parts, name));
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('full while the work is collected: the work is collected once there is free space', async () => {
  const gate = lab.seen.gate();
  const task = await lab.seen.submit({
    input: `write first.txt with first. write second.txt with second. run cat ${gate.path}`,
  });
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  disk.fill();
  await gate.open();
  const until = Date.now() + FULL_MS / 2;
  for (; Date.now() < until; await sleep(200)) disk.fill();
  disk.free();
  await lab.up();
  await expectWhole(lab.seen, task, { files: { 'first.txt': 'first', 'second.txt': 'second' } });
});
