/**
 * Agents end with their worker, whatever state they are in and whichever other process was killed. There is no supervisor
 * here: no other worker starts unless the test starts it.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMarked } from '../../agents/process/end.ts';
import { identifyRunning, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import type { TaskId } from '../../contract/ids.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';
import { runnersOf } from '../lab/runners.ts';
import { until } from '../lab/until.ts';

/** What an agent's tools become, each by its name; each writes its pid into a file of that name. */
const STRAYS: Readonly<Record<string, string>> = {
  group: `set -m; sh -c 'echo $$ > group; exec sleep 600' & set +m`,
  session: `setsid sh -c 'echo $$ > session; exec sleep 600' &`,
  daemon: `( setsid sh -c 'echo $$ > daemon; exec sleep 600' < /dev/null > /dev/null 2>&1 & )`,
  deaf: `setsid sh -c 'trap "" TERM HUP INT; echo $$ > deaf; while :; do sleep 0.2; done' &`,
  'without an environment': `env -i "PATH=$PATH" setsid sh -c 'echo $$ > "without an environment"; exec sleep 600' &`,
};

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
});
const started: ProcessIdentity[] = [];
afterAll(async () => {
  // A process without a marker that a failed test left would not be found otherwise.
  for (const one of started) if (isAlive(one)) process.kill(one.pid, 'SIGKILL');
  await lab.close();
});

interface Strays {
  readonly task: TaskId;
  /** Where all of them stand. */
  readonly folder: string;
  readonly processes: Readonly<Record<string, ProcessIdentity>>;
}

/** A task whose agent has started all of them, and waits. */
async function strays(): Promise<Strays> {
  const folder = await mkdtemp(path.join(lab.home, 'strays-'));
  const script = path.join(folder, 'script.sh');
  await writeFile(script, [`cd '${folder}'`, ...Object.values(STRAYS), 'wait'].join('\n'));
  const task = await lab.submit({ input: `write kept.txt with kept. run sh ${script}` });
  const processes: Record<string, ProcessIdentity> = {};
  for (const name of Object.keys(STRAYS)) {
    processes[name] = await lab.until(`the pid of ${name}`, async () => {
      const text = await readFile(path.join(folder, name), 'utf8').catch(() => '');
      return text.endsWith('\n') && identifyRunning(Number(text));
    });
  }
  const agent = await lab.until('the agent', async () => {
    const [row] = await lab.sql<{ pid: number }[]>`
      SELECT pid FROM attempts WHERE task_id = ${task} AND pid IS NOT NULL ORDER BY attempt DESC LIMIT 1`;
    return row && identifyRunning(row.pid);
  });
  started.push(...Object.values(processes));
  return { task, folder, processes: { ...processes, agent } };
}

const alive = ({ processes }: Strays): string[] => Object.keys(processes).filter((name) => processes[name] && isAlive(processes[name])); // prettier-ignore

/** Also of later attempts, and without a marker. */
const standingIn = (folder: string): string[] =>
  readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && folderOf(name) === folder && identifyRunning(Number(name)),
  );

function folderOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // gone, or not ours
  }
}

async function runnerOf(worker: LabWorker): Promise<number> {
  return until('its runner', () => runnersOf(worker.pid)[0]);
}

/** A worker starts, and the task ends by a cancel, with its edits. */
async function cancelled({ task, folder }: Strays, worker: Promise<LabWorker>): Promise<void> {
  await lab.cancel(task);
  const living = await worker;
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await lab.inChange(task, 'kept.txt')).toBe('kept');
  expect(await lab.leftovers(task)).toEqual([]);
  expect(standingIn(folder)).toEqual([]);
  living.kill('SIGTERM');
  await living.exited;
}

test('the worker killed, and no other one started: all processes of its agents end within seconds', async () => {
  const worker = await lab.startWorker();
  const left = await strays();
  const runner = await runnerOf(worker);
  expect(alive(left)).toHaveLength(Object.keys(STRAYS).length + 1);
  worker.kill('SIGKILL');
  await until('the end of its runner', () => identifyRunning(runner) === undefined);
  expect(alive(left)).toEqual([]);
  expect(findMarked(left.task)).toEqual([]);
  expect(standingIn(left.folder)).toEqual([]);
  await cancelled(left, lab.startWorker());
});

test('the process that starts programs killed: its programs are ended, and the next attempt continues', async () => {
  const worker = await lab.startWorker();
  const left = await strays();
  process.kill(await runnerOf(worker), 'SIGKILL');
  await until('the end of all', () => alive(left).length === 0);
  await lab.until('the next attempt', async () => {
    const rows = await lab.sql`SELECT FROM attempts WHERE task_id = ${left.task} AND attempt > 1 AND pid IS NOT NULL`;
    return rows.length > 0;
  });
  await cancelled(left, Promise.resolve(worker));
});

test('both killed at once: the next worker ends the remaining processes before it takes a step', async () => {
  const worker = await lab.startWorker();
  const left = await strays();
  const runner = await runnerOf(worker);
  process.kill(worker.pid, 'SIGSTOP'); // so that the runner's end is no news to it
  process.kill(runner, 'SIGKILL');
  worker.kill('SIGKILL');
  await worker.exited;
  expect(alive(left)).toContain('daemon');
  const next = await lab.startWorker();
  expect(alive(left)).toEqual([]);
  await cancelled(left, Promise.resolve(next));
});
