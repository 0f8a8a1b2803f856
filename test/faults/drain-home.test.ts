/** The worker of `longhaul up -d` drains, as docs/deploys.md has it: seen by who looks, and no task is stuck by it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

let lab: LabHome;
beforeAll(async () => {
  lab = await startHome();
});
afterAll(() => lab.close());

async function partState(name: string): Promise<string | undefined> {
  const { stdout } = await lab.command('status', '--json');
  const { parts } = JSON.parse(stdout) as { parts: { name: string; state: string }[] };
  return parts.find((part) => part.name === name)?.state;
}

test('status shows the drain, a cancel is carried out meanwhile, and the next worker runs the waiting tasks', async () => {
  const gate = lab.seen.gate();
  const [working, unwanted] = [
    await lab.seen.submit({ input: `write first.txt with first. run cat ${gate.path}` }),
    await lab.seen.submit({ input: `write first.txt with first. run cat ${lab.seen.gate().path}` }),
  ];
  for (const task of [working, unwanted]) await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  const worker = await lab.processOf('worker');
  process.kill(worker.pid, 'SIGUSR2');
  await lab.seen.until('it to be shown', async () => (await partState('worker')) === 'draining');
  const doctor = await lab.command('doctor');
  expect(doctor.stdout).toMatch(/worker +draining/);
  expect(doctor.stdout).not.toContain('No problems found');

  await lab.seen.cancel(unwanted);
  expect(await lab.seen.ended(unwanted)).toMatchObject({ state: 'cancelled' });
  expect(await lab.seen.leftovers(unwanted)).toEqual([]);
  const waiting = await lab.seen.submit({ input: 'write first.txt with first' });
  expect(await lab.seen.task(working)).toMatchObject({ state: 'running' });

  await gate.open();
  for (const task of [working, waiting]) await expectWhole(lab.seen, task, { files: { 'first.txt': 'first' } });
  expect(await attemptsOf(lab.seen, working)).toMatchObject([{ attempt: 1, worker_pid: worker.pid, error_code: null }]);
  await lab.seen.until('the next one to be shown', async () => (await partState('worker')) === 'ready');
});
