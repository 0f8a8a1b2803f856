/** A project, its mirror, and the calls under test. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { type Changes, makeChanges } from '../../changes/changes.ts';
import type { Plan } from '../../changes/plan.ts';
import type { Journal } from '../../changes/journal.ts';
import { makeWorktrees, type Worktrees } from '../../worktrees/worktrees.ts';

export interface AgentChange {
  readonly base: string;
  readonly commit: string;
}

export interface ChangeLab {
  readonly root: string;
  readonly project: string;
  readonly worktrees: Worktrees;
  readonly changes: Changes;
  /** Lets an agent edit a worktree, and stores the result. */
  work(
    edit: (root: string) => void | Promise<void>,
    options?: { base?: string; task?: string },
  ): Promise<AgentChange | undefined>;
  plan(change: AgentChange, actionId?: string): Promise<Plan>;
  apply(change: AgentChange, actionId?: string): Promise<Journal>;
  undo(applied: Journal, actionId?: string): Promise<Journal>;
}

export function changeLab(root: string, project: string): ChangeLab {
  const locksDir = path.join(root, 'home', 'locks');
  const worktrees = makeWorktrees({ locksDir, root: path.join(root, 'home', 'worktrees') });
  const changes = makeChanges({ locksDir });
  let tasks = 0;
  const plan = ({ base, commit }: AgentChange, actionId = 'a'): Promise<Plan> =>
    changes.planApply({ projectPath: project, actionId, base, result: commit });
  const carryOut = async (found: Plan): Promise<Journal> => {
    if (found.kind === 'conflict') {
      const paths = found.paths.map((one) => `${one.path.toString('latin1')}: ${one.reason}`);
      throw new Error(`conflict: ${paths.join('; ')}`);
    }
    const { changed } = await changes.write({ journal: found.journal, tag: 'tag' });
    if (changed !== undefined) throw new Error(`changed meanwhile: ${changed.toString('latin1')}`);
    return found.journal;
  };
  return {
    root,
    project,
    worktrees,
    changes,
    async work(edit, { base: wanted, task } = {}) {
      tasks += 1;
      const worktreePath = path.join(root, 'home', 'worktrees', 'sessions', `task-${tasks}`);
      const { base } = await worktrees.create({ projectPath: project, worktreePath, ...(wanted && { base: wanted }) });
      await edit(worktreePath);
      const ref = `refs/longhaul/tasks/${task ?? `t-${tasks}`}`;
      const found = await worktrees.collect({ projectPath: project, worktreePath, base, ref, message: 'Do it' });
      rmSync(worktreePath, { recursive: true, force: true });
      if (found.kind === 'kept') throw new Error(found.reason);
      return found.kind === 'none' ? undefined : { base, commit: found.commit };
    },
    plan,
    apply: async (change, actionId) => carryOut(await plan(change, actionId)),
    undo: async (applied, actionId = 'u') =>
      carryOut(await changes.planUndo({ projectPath: project, actionId, applied })),
  };
}
