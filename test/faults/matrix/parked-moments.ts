/** The moments of a parked worktree at which a part is killed: from the end of a session's task to the work of its next one. */
import { watch } from 'node:fs';
import path from 'node:path';
import type { TaskId } from '../../../contract/ids.ts';
import { isAlive } from '../../../processes/identity.ts';
import { readRecord } from '../../../worktrees/records.ts';
import { type Held, holdLocks, holdStatement, NOTHING_HELD, type Statement } from '../../lab/holds.ts';
import { isWaiting } from '../../lab/observer.ts';
import { suspendProcess } from '../../lab/suspend.ts';
import { gitCommand, shows, statement, type Step, unheard, untilStep, type Variant } from './moments.ts';
import type { World } from './world.ts';

export interface ParkedMoment {
  /** As a row of the table. */
  readonly name: string;
  /** The task of the session during which the part is killed; `between`: none. */
  readonly during: 'first' | 'between' | 'second';
  /** The user applies and commits the first change, so that the second task begins from another commit. */
  readonly otherBase?: boolean;
  /** The second task's agent works, and waits for a gate. */
  readonly working?: boolean;
  readonly variants: readonly Variant[];
}

/** The path of the worktree of the task's session. */
async function worktreeOf(world: World, task: TaskId): Promise<string> {
  const [row] = await world.sql<{ worktree_path: string }[]>`
    SELECT worktree_path FROM tasks
     WHERE session_id = (SELECT session_id FROM tasks WHERE id = ${task}) AND worktree_path IS NOT NULL LIMIT 1`;
  if (!row) throw new TypeError(`the session of ${task} has no worktree`);
  return row.worktree_path;
}

async function lockBefore(world: World, before: Held, task: TaskId): Promise<{ worktree: string; locks: Held }> {
  await world.until('the step before to wait', async () => (await before.waiting()) > 0);
  const worktree = await worktreeOf(world, task);
  const locks = await holdLocks(world.home, [worktree]);
  await before.release();
  return { worktree, locks };
}

/** The step waits for the lock of the worktree, which is taken while a statement before it is held. */
const worktreeLock = (step: Step, before: Statement): Variant => ({
  name: 'the lock of the worktree',
  arm: (world) => holdStatement(world.parts.databaseUrl, before),
  async reached(world, hold, [task]) {
    const { locks } = await lockBefore(world, hold, task as TaskId);
    await untilStep(world, step, [task as TaskId]);
    return locks;
  },
});

/** The worker is stopped while it replaces the agent's repository. On a busy machine it stops a moment later. */
const stopped = (step: Step, before: Statement): Variant => ({
  name: 'the agent’s repository is replaced',
  releaseFirst: true,
  arm: (world) => holdStatement(world.parts.databaseUrl, before),
  async reached(world, hold, [task]) {
    const worker = await world.parts.processOf('worker');
    const { worktree, locks } = await lockBefore(world, hold, task as TaskId);
    await untilStep(world, step, [task as TaskId]);
    let standsStill: Promise<void> | undefined;
    const watcher = watch(worktree, (_, name) => {
      if (name === '.git') standsStill ??= suspendProcess(worker.pid);
    });
    await locks.release();
    await world.until('the repository to be replaced', async () => standsStill !== undefined);
    watcher.close();
    await standsStill;
    const release = async (): Promise<void> => {
      if (isAlive(worker)) process.kill(worker.pid, 'SIGCONT');
    };
    return { waiting: async () => 0, release };
  },
});

const CLEANING: Statement = {
  on: 'tasks',
  event: 'UPDATE',
  when: "OLD.phase <> 'cleaning' AND NEW.phase = 'cleaning' AND NEW.state = 'running'",
};
const BEGINS: Statement = { on: 'tasks', event: 'UPDATE', when: "OLD.state = 'pending' AND NEW.state = 'running'" };
const BASE: Statement = {
  on: 'tasks',
  event: 'UPDATE',
  when: 'OLD.base_commit IS NULL AND NEW.base_commit IS NOT NULL',
};

const isParked = async (world: World, task: TaskId): Promise<boolean> =>
  readRecord(path.join(world.home, 'locks'), await worktreeOf(world, task))?.state === 'parked';

const taken: readonly Variant[] = [
  statement('the task begins to run', 'create worktree', BEGINS),
  worktreeLock('create worktree', BEGINS),
  statement('the base is recorded', 'create worktree', BASE),
  unheard('create worktree', {
    before: BEGINS,
    effect: shows('SELECT FROM tasks WHERE id = $1 AND base_commit IS NOT NULL'),
  }),
];

export const PARKED_MOMENTS: readonly ParkedMoment[] = [
  {
    name: 'parked: being parked',
    during: 'first',
    variants: [
      stopped('remove worktree', { on: 'pending_changes', event: 'INSERT' }),
      statement('the phase is recorded', 'remove worktree', CLEANING),
      worktreeLock('remove worktree', { on: 'pending_changes', event: 'INSERT' }),
      unheard('remove worktree', { before: CLEANING, effect: isParked }),
    ],
  },
  {
    name: 'parked: between the tasks',
    during: 'between',
    variants: [{ name: 'no task runs', arm: async () => NOTHING_HELD, reached: async (_, hold) => hold }],
  },
  { name: 'parked: taken, same base', during: 'second', variants: taken },
  {
    name: 'parked: taken, other base',
    during: 'second',
    otherBase: true,
    variants: [
      gitCommand('reset --quiet', 'create worktree'),
      gitCommand('clean -ffd', 'create worktree'),
      stopped('create worktree', BEGINS),
      ...taken.slice(2),
    ],
  },
  {
    name: 'parked: in use',
    during: 'second',
    working: true,
    variants: [
      {
        name: 'a tool runs',
        agent: true,
        arm: async () => NOTHING_HELD,
        async reached(world, hold, [task]) {
          await world.untilFrame(task as TaskId, 'the tool to run', isWaiting);
          return hold;
        },
      },
    ],
  },
];

/** An agent is killed only where one runs. */
export const hasAgent = ({ variants }: ParkedMoment): boolean => variants.some(({ agent }) => agent);
