/** The moments of a task at which a part is killed, each in the variants that there are of being there. */
import { existsSync } from 'node:fs';
import { isAlive } from '../../../processes/identity.ts';
import type { TaskId } from '../../../contract/ids.ts';
import { type Held, holdGit, holdLocks, holdStatement, NOTHING_HELD, type Statement } from '../../lab/holds.ts';
import type { LabFrame } from '../../lab/observer.ts';
import type { World } from './world.ts';

/** The step's name as the query `taskStatus` tells it. */
export type Step =
  | 'open session'
  | 'create worktree'
  | 'dispatch agent'
  | 'diff worktree'
  | 'queue change'
  | 'remove worktree'
  | 'finish';

export interface Variant {
  readonly name: string;
  /** An agent of the task runs at that moment. */
  readonly agent?: boolean;
  /** The task's row is locked meanwhile: a cancel waits, too, and may come too late. */
  readonly locksRow?: boolean;
  /** Nothing starts before it is let go: a worker that starts closes the attempts of those that are dead. */
  readonly releaseFirst?: boolean;
  /** Words that wait in the worker's memory meanwhile, and go with a worker that dies: the first ones, or all. */
  readonly unwrittenWords?: 'first' | 'all';
  /** Called before the tasks are handed in. */
  arm(world: World): Promise<Held>;
  /** Resolves when the tasks are there, with what holds them now. */
  reached(world: World, hold: Held, tasks: readonly TaskId[]): Promise<Held>;
}

export interface Moment {
  readonly name: string;
  readonly variants: readonly Variant[];
  /** The slots are taken by others, so that the cell's tasks wait. */
  readonly slotsTaken?: boolean;
}

/** Of all tasks the run has come to the step, or they have no run yet. */
export async function untilStep(world: World, step: Step, tasks: readonly TaskId[]): Promise<void> {
  for (const task of tasks) {
    await world.until(`step ${step} of ${task}`, async () => (await world.statusIfRuns(task))?.step === step);
  }
}

export function statement(name: string, step: Step | undefined, held: Statement, more: Partial<Variant> = {}): Variant {
  return {
    name,
    locksRow: true,
    ...more,
    arm: (world) => holdStatement(world.parts.databaseUrl, held),
    async reached(world, hold, tasks) {
      if (step) await untilStep(world, step, tasks);
      await world.until(`statements to wait: ${name}`, async () => (await hold.waiting()) > 0);
      return hold;
    },
  };
}

export function gitCommand(words: string, step: Step): Variant {
  return {
    name: `git ${words}`,
    arm: (world) => holdGit(world.git, words),
    async reached(world, hold, tasks) {
      await untilStep(world, step, tasks);
      await world.until(`git ${words} to wait`, async () => (await hold.waiting()) > 0);
      return hold;
    },
  };
}

/**
 * The step has had its effect and ended, but Temporal never hears of it: the server is suspended meanwhile. What a worker
 * has sent before it is killed stands in the server's sockets, so it goes with the server; one that lives says it again.
 */
export function unheard(
  step: Step,
  { before, effect }: { readonly before: Statement; readonly effect: (world: World, task: TaskId) => Promise<boolean> },
): Variant {
  return {
    name: 'its result has not reached Temporal',
    releaseFirst: true,
    arm: (world) => holdStatement(world.parts.databaseUrl, before),
    async reached(world, hold, tasks) {
      await untilStep(world, step, tasks);
      await world.until('both to wait', async () => (await hold.waiting()) === tasks.length);
      const worker = await world.parts.processOf('worker');
      const server = await world.parts.suspendTemporal();
      await hold.release();
      for (const task of tasks) await world.until(`the effect of ${step}`, () => effect(world, task));
      return { waiting: async () => 0, release: async () => (isAlive(worker) ? server.resume() : server.kill()) };
    },
  };
}

const isWord5 = ({ type, body }: LabFrame): boolean => type === 'delta' && String(body['content']).includes('word5');

/** Whether the query, given the task, finds a row. */
export const shows =
  (query: string) =>
  async (world: World, task: TaskId): Promise<boolean> =>
    (await world.sql.unsafe(query, [task])).length > 0;

/** The remove step waits for locks, which are taken while the step before it is held. */
const worktreeLock: Variant = {
  name: 'the lock of the worktree',
  arm: (world) => holdStatement(world.parts.databaseUrl, { on: 'pending_changes', event: 'INSERT' }),
  async reached(world, before, tasks) {
    await world.until('both changes to wait', async () => (await before.waiting()) === tasks.length);
    const rows = await world.sql<
      { worktree_path: string }[]
    >`SELECT worktree_path FROM tasks WHERE id = ANY (${[...tasks]})`;
    const locks = await holdLocks(
      world.home,
      rows.map((row) => row.worktree_path),
    );
    await before.release();
    await untilStep(world, 'remove worktree', tasks);
    return locks;
  },
};

export const QUEUED: Moment = {
  name: 'queued',
  slotsTaken: true,
  variants: [
    {
      name: 'waits for a slot',
      arm: async () => NOTHING_HELD,
      reached: async (world, hold, tasks) => {
        await untilStep(world, 'create worktree', tasks);
        return hold;
      },
    },
    statement('is being claimed', undefined, {
      on: 'tasks',
      event: 'UPDATE',
      when: 'OLD.claimed_at IS NULL AND NEW.claimed_at IS NOT NULL',
    }),
    statement('its run is recorded', undefined, {
      on: 'tasks',
      event: 'UPDATE',
      when: 'OLD.run_id IS NULL AND NEW.run_id IS NOT NULL',
    }),
  ],
};

export const OPEN_SESSION: Moment = {
  name: 'open session',
  variants: [
    statement('the session', 'open session', { on: 'sessions', event: 'INSERT' }),
    statement('the assistant message', 'open session', {
      on: 'messages',
      event: 'INSERT',
      when: "NEW.role = 'assistant'",
    }),
    statement('its first frames', 'open session', { on: 'frames', event: 'INSERT' }),
    unheard('open session', {
      before: { on: 'sessions', event: 'INSERT' },
      effect: shows('SELECT FROM tasks WHERE id = $1 AND session_id IS NOT NULL'),
    }),
  ],
};

export const CREATE_WORKTREE: Moment = {
  name: 'create worktree',
  variants: [
    gitCommand('reset', 'create worktree'),
    statement('the task begins to run', 'create worktree', {
      on: 'tasks',
      event: 'UPDATE',
      when: "OLD.state = 'pending' AND NEW.state = 'running'",
    }),
    statement('the base is recorded', 'create worktree', {
      on: 'tasks',
      event: 'UPDATE',
      when: 'OLD.base_commit IS NULL AND NEW.base_commit IS NOT NULL',
    }),
    unheard('create worktree', {
      before: { on: 'tasks', event: 'UPDATE', when: "OLD.state = 'pending' AND NEW.state = 'running'" },
      effect: shows('SELECT FROM tasks WHERE id = $1 AND base_commit IS NOT NULL'),
    }),
  ],
};

export const DISPATCH: Moment = {
  name: 'dispatch agent',
  variants: [
    statement('the fence is taken', 'dispatch agent', { on: 'attempts', event: 'INSERT' }),
    statement(
      'the agent’s process is recorded',
      'dispatch agent',
      { on: 'attempts', event: 'UPDATE', when: 'OLD.spawned_at IS NULL AND NEW.spawned_at IS NOT NULL' },
      { agent: true, releaseFirst: true },
    ),
    statement(
      'the message is completed',
      'dispatch agent',
      { on: 'messages', event: 'UPDATE', when: "OLD.status = 'streaming' AND NEW.status = 'complete'" },
      // All turns of a worker share one writer: what one session's row is locked for, the words of the other wait behind.
      { releaseFirst: true, unwrittenWords: 'all' },
    ),
    unheard('dispatch agent', {
      before: { on: 'attempts', event: 'INSERT' },
      effect: shows('SELECT FROM attempts WHERE task_id = $1 AND outcome IS NOT NULL'),
    }),
  ],
};

export const MID_STREAM: Moment = {
  name: 'mid-stream',
  variants: [
    {
      name: 'text streams',
      agent: true,
      arm: async () => NOTHING_HELD,
      reached: async (world, hold, tasks) => {
        for (const task of tasks) {
          await world.untilFrame(task, 'words', isWord5);
        }
        return hold;
      },
    },
    statement(
      'text is being written',
      'dispatch agent',
      { on: 'frames', event: 'INSERT', when: "NEW.type = 'delta' AND NEW.body ->> 'content' LIKE '%word%'" },
      { agent: true, unwrittenWords: 'first' },
    ),
  ],
};

export const DIFF: Moment = {
  name: 'diff worktree',
  variants: [
    gitCommand('write-tree', 'diff worktree'),
    gitCommand('update-ref', 'diff worktree'),
    statement('the diff is recorded', 'diff worktree', { on: 'collected_diffs', event: 'INSERT' }),
    unheard('diff worktree', {
      before: { on: 'collected_diffs', event: 'INSERT' },
      effect: shows('SELECT FROM collected_diffs WHERE task_id = $1'),
    }),
  ],
};

export const QUEUE_CHANGE: Moment = {
  name: 'queue change',
  variants: [
    statement('the change', 'queue change', { on: 'pending_changes', event: 'INSERT' }),
    statement('its frame', 'queue change', {
      on: 'frames',
      event: 'INSERT',
      when: "NEW.type = 'change_queued'",
    }),
    unheard('queue change', {
      before: { on: 'pending_changes', event: 'INSERT' },
      effect: shows('SELECT FROM pending_changes WHERE task_id = $1'),
    }),
  ],
};

export const REMOVE: Moment = {
  name: 'remove worktree',
  variants: [
    statement('the phase is recorded', 'remove worktree', {
      on: 'tasks',
      event: 'UPDATE',
      when: "OLD.phase <> 'cleaning' AND NEW.phase = 'cleaning' AND NEW.state = 'running'",
    }),
    worktreeLock,
    unheard('remove worktree', {
      before: {
        on: 'tasks',
        event: 'UPDATE',
        when: "OLD.phase <> 'cleaning' AND NEW.phase = 'cleaning' AND NEW.state = 'running'",
      },
      effect: async (world, task) => !existsSync((await world.task(task)).worktree_path ?? ''),
    }),
  ],
};

export const FINISH: Moment = {
  name: 'finish',
  variants: [
    statement('the end of the task', 'finish', {
      on: 'tasks',
      event: 'UPDATE',
      when: 'OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL',
    }),
    statement('its last frame', 'finish', {
      on: 'frames',
      event: 'INSERT',
      when: "NEW.type = 'task_state' AND NEW.body ->> 'state' <> 'running'",
    }),
    unheard('finish', {
      before: { on: 'tasks', event: 'UPDATE', when: 'OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL' },
      effect: shows('SELECT FROM tasks WHERE id = $1 AND ended_at IS NOT NULL'),
    }),
  ],
};
