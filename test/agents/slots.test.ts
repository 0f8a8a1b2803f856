/** The slots of a host, with several of its workers: each has counters of its own and the same folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AgentSlots, type SlotRequest, freeStaleSlot, type Slot, staleSlots } from '../../agents/slots.ts';
import { identify, identifyRunning, isAlive } from '../../processes/identity.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { LonghaulError } from '../../contract/errors.ts';
import { withLock } from '../../worktrees/repository-lock.ts';
import { makeFolder, removeFolder } from '../lab/repositories.ts';
import { until } from '../lab/until.ts';

interface Home {
  readonly home: string;
  readonly folder: string;
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

async function openHome(): Promise<Home> {
  const root = await makeFolder();
  onTestFinished(() => removeFolder(root));
  const lock = { locksDir: path.join(root, 'locks'), subject: 'agent slots' };
  return { home: root, folder: path.join(root, 'slots'), exclusively: (work) => withLock(lock, work) };
}

const aTask = (attempt = 1): SlotRequest => ({ taskId: randomUUID() as TaskId, attempt });
const NEVER = new AbortController().signal;

/** A worker in a process of its own that takes as many slots as it can get, says how many, and keeps them. */
function startTaker(home: Home, count: number, wanted: number): ChildProcess {
  const file = path.join(import.meta.dirname, 'slot-taker.ts');
  const args = [file, home.folder, path.join(home.folder, '..', 'locks'), String(count), String(wanted)];
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function taken(taker: ChildProcess): Promise<number> {
  const [said] = (await once(taker.stdout ?? taker, 'data')) as [Buffer];
  return Number(said.toString());
}

test('workers that ask at the same time get together no more slots than exist', async () => {
  const home = await openHome();
  const takers = Array.from({ length: 3 }, () => startTaker(home, 5, 4));
  const got = await Promise.all(takers.map(taken));
  expect(got.reduce((sum, count) => sum + count)).toBe(5);
  expect(await readdir(home.folder)).toHaveLength(5);
  const here = new AgentSlots({ ...home, count: 5 });
  expect(here.hasFreeSlot()).toBe(false);
  expect(await here.tryTake(aTask())).toBeUndefined();
});

test('a dead worker holds no slot: its agent is ended before another starts, and the waiting attempt gets the slot', async () => {
  const home = await openHome();
  const taker = startTaker(home, 1, 1);
  expect(await taken(taker)).toBe(1);
  const [name = ''] = await readdir(home.folder);
  const agent = spawn('sleep', ['600'], { env: { LONGHAUL_TASK: name.split('.')[0] }, stdio: 'ignore' });
  const left = await until('the agent', () => identifyRunning(agent.pid ?? 0));
  const here = new AgentSlots({ ...home, count: 1 });
  const waiting = untilTaken(here, aTask());
  await here.untilChange(NEVER);
  expect(isAlive(left)).toBe(true);
  taker.kill('SIGKILL');
  await waiting;
  expect(isAlive(left)).toBe(false);
  expect(await readdir(home.folder)).toHaveLength(1);
});

async function untilTaken(slots: AgentSlots, claim: SlotRequest): Promise<Slot> {
  for (;;) {
    const slot = await slots.tryTake(claim);
    if (slot) return slot;
    await slots.untilChange(NEVER);
  }
}

test('a newer attempt takes over the slot of an older attempt of its task, in any worker', async () => {
  const home = await openHome();
  const [other, here] = [new AgentSlots({ ...home, count: 1 }), new AgentSlots({ ...home, count: 1 })];
  const claim = aTask(2);
  const old = await other.tryTake(claim);
  const taken = await here.tryTake({ ...claim, attempt: 3 });
  expect(taken).toBeDefined();
  old?.release(); // frees nothing of the newer one
  expect(await readdir(home.folder)).toHaveLength(1);
  taken?.release();
  expect(await readdir(home.folder)).toEqual([]);
});

test.each([
  ['is alive: it is refused', 0, 'superseded'],
  ['is dead, as after a power cut that lost attempts of Temporal: it takes over', 1, undefined],
])(
  'an attempt finds the slot of a later attempt of its task, whose worker %s',
  async (_title, startedLater, refused) => {
    const home = await openHome();
    const slots = new AgentSlots({ ...home, count: 1 });
    const { taskId } = aTask();
    const holder = identify(process.ppid);
    const start = Number(holder?.startTime) + startedLater;
    await mkdir(home.folder, { recursive: true });
    await writeFile(path.join(home.folder, [taskId, 3, holder?.pid, start, holder?.bootId, '0123abcd'].join('.')), '');
    const asked = await slots.tryTake({ taskId, attempt: 2 }).then(
      () => undefined,
      (error: LonghaulError) => error.code,
    );
    expect(asked).toBe(refused);
    expect(await readdir(home.folder)).toHaveLength(1);
  },
);

test('waiting attempts get released slots one after another', async () => {
  const home = await openHome();
  const slots = new AgentSlots({ ...home, count: 1 });
  const given: Slot[] = [await untilTaken(slots, aTask())];
  const waiting = [1, 2, 3].map(async () => given.push(await untilTaken(slots, aTask())));
  for (let round = 1; round <= 3; round += 1) {
    const held = given.at(-1);
    expect(given).toHaveLength(round);
    held?.release();
    held?.release(); // twice gives back once
    await until('the next one', () => given.length === round + 1);
  }
  await Promise.all(waiting);
  expect(await readdir(home.folder)).toHaveLength(1);
});

test('a cancelled attempt stops waiting, and a worker that exits gives out no slot', async () => {
  const home = await openHome();
  const slots = new AgentSlots({ ...home, count: 1 });
  const held = await untilTaken(slots, aTask());
  const cancel = new AbortController();
  const cancelled = slots.untilChange(cancel.signal);
  cancel.abort(new Error('cancelled'));
  await expect(cancelled).rejects.toThrow('cancelled');
  const waiting = slots.untilChange(NEVER);
  slots.close();
  for (const asked of [waiting, slots.tryTake(aTask()), slots.untilChange(NEVER)]) {
    await expect(asked).rejects.toMatchObject({ code: 'worker_lost' });
  }
  expect(() => slots.hasFreeSlot()).toThrow(expect.objectContaining({ code: 'worker_lost' }) as Error);
  expect(await readdir(home.folder)).toHaveLength(1); // its turn continues
  held.release();
  expect(await readdir(home.folder)).toEqual([]);
});

test('a single worker always has a free slot, because Temporal counts its steps', async () => {
  const home = await openHome();
  const slots = new AgentSlots({ ...home, count: 1 });
  expect(slots.hasFreeSlot()).toBe(true);
  await untilTaken(slots, aTask());
  expect(slots.hasFreeSlot()).toBe(true);
});

test('files of a dead worker or an earlier boot count as free and are removed; foreign files stay', async () => {
  const home = await openHome();
  await mkdir(home.folder);
  const { pid = 0, startTime, bootId } = identify(process.ppid) ?? {};
  const put = async (...holder: unknown[]): Promise<string> => {
    const name = [randomUUID(), 1, ...holder, '0123abcd'].join('.');
    await writeFile(path.join(home.folder, name), '');
    return name;
  };
  const alive = await put(pid, startTime, bootId);
  const stale = [await put(pid, startTime, 'an-earlier-boot'), await put(pid, '1', bootId)];
  await writeFile(path.join(home.folder, 'notes'), 'mine');
  expect(
    staleSlots(home.folder)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(stale.toSorted());
  const slots = new AgentSlots({ ...home, count: 2 });
  await untilTaken(slots, aTask());
  expect(await slots.tryTake(aTask())).toBeUndefined();
  expect(staleSlots(home.folder)).toMatchObject([{ isAlive: false }]); // of this process, as it does not know itself
  expect(await readdir(home.folder)).toEqual(expect.arrayContaining([alive, 'notes']));
  expect(await readdir(home.folder)).toHaveLength(3);
  await freeStaleSlot(home, 'gone by now');
});

test("a worker that starts ends the remaining processes of dead workers' agents", async () => {
  const home = await openHome();
  const taker = startTaker(home, 1, 1);
  await taken(taker);
  const [name = ''] = await readdir(home.folder);
  const agent = spawn('sleep', ['600'], { env: { LONGHAUL_TASK: name.split('.')[0] }, stdio: 'ignore' });
  const left = await until('the agent', () => identifyRunning(agent.pid ?? 0));
  const slots = new AgentSlots({ ...home, count: 1 });
  await slots.freeStale();
  expect(isAlive(left)).toBe(true);
  taker.kill('SIGKILL');
  await once(taker, 'exit');
  await slots.freeStale();
  expect(isAlive(left)).toBe(false);
  expect(await readdir(home.folder)).toEqual([]);
});

test('a folder that cannot be used is named, and works again when it can', async () => {
  const home = await openHome();
  await writeFile(home.folder, 'a file');
  const slots = new AgentSlots({ ...home, count: 1 });
  const why = {
    code: 'internal_error',
    message: expect.stringContaining(`counts the agents of this host in the folder ${home.folder}`) as string,
  };
  await expect(slots.tryTake(aTask())).rejects.toMatchObject(why);
  expect(() => slots.hasFreeSlot()).toThrow(expect.objectContaining(why) as Error);
  await rm(home.folder);
  expect(await slots.tryTake(aTask())).toBeDefined();
});
