/** The home is removed while its services run: no process of it may continue in the removed folder. */
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findMarked } from '../../agents/process/end.ts';
import { isAlive } from '../../processes/identity.ts';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { until } from '../lab/until.ts';

const BOUND_MS = 60_000;

let lab: LabHome;
afterEach(() => lab.close());

/** All that was started in the home: each part has it in its arguments. */
async function running(home: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  return (await Promise.all(lines)).filter((line) => line.includes(home));
}

test.each(['.', 'run'])('its folder %j is removed in mid-turn: all parts and the agent end', async (folder) => {
  lab = await startHome();
  const gate = lab.seen.gate();
  const task = await lab.seen.submit({ input: `write first.txt with first. run cat ${gate.path}` });
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  expect(await running(lab.home)).not.toEqual([]);

  const supervisor = await lab.processOf('supervisor');
  await rm(path.join(lab.home, folder), { recursive: true, maxRetries: 5 });
  await until('the parts to end', async () => (await running(lab.home)).length === 0, BOUND_MS);
  await until('the supervisor to end', () => !isAlive(supervisor), BOUND_MS);
  expect(findMarked(task)).toEqual([]);
});
