/**
 * The interface through which the steps apply changes to a user's checkout and undo them. No file in the project's
 * `.git` is written: git stores new objects in the project's mirror, and the index files and temporary files that an
 * action needs are in the home.
 *
 * An action has two halves. `planApply` and `planUndo` change nothing in the checkout and return a journal, which the
 * caller stores. `write` and `takeBack` need only this journal. If the process is killed at any point of them, the
 * caller may call them again with the same journal.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { splitFields } from '../worktrees/file-path.ts';
import { git, tryGit } from '../worktrees/git.ts';
import { canonical, inspect } from '../worktrees/repository.ts';
import { withLock } from '../worktrees/repository-lock.ts';
import { type Checkout, inCheckout, openCheckout } from './checkout.ts';
import { type Journal, pathOf, type Side } from './journal.ts';
import { makePlan, type Plan, type Wanted } from './plan.ts';
import { takeBack, writeFiles, type WriteRequest } from './writer.ts';

export interface ChangesOptions {
  /** The folder of the locks. The folders of the mirrors and of the temporary files are beside it. */
  readonly locksDir: string;
}

export interface PlanRequest {
  readonly projectPath: string | undefined;
  /** The action's id. It is part of the names of the action's temporary files and of the ref that keeps its blobs. */
  readonly actionId: string;
  readonly signal?: AbortSignal;
}

export interface ApplyRequest extends PlanRequest {
  readonly base: string;
  readonly result: string;
}

export interface UndoRequest extends PlanRequest {
  /** The journal of the action that applied the change. */
  readonly applied: Journal;
}

export interface Changes {
  planApply(request: ApplyRequest): Promise<Plan>;
  planUndo(request: UndoRequest): Promise<Plan>;
  write(request: WriteRequest): ReturnType<typeof writeFiles>;
  takeBack(request: WriteRequest): ReturnType<typeof takeBack>;
  /**
   * Waits until no other action runs on the checkout with this top folder, then runs `work`. Other actions on this
   * checkout wait until `work` has ended.
   */
  exclusively<T>(topLevel: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** Returns the ref that keeps the blobs of an action in the mirror. */
export const actionRef = (actionId: string): string => `refs/longhaul/changes/${actionId}`;

export function makeChanges({ locksDir }: ChangesOptions): Changes {
  const plan = async (request: PlanRequest, wanted: (checkout: Checkout) => Promise<Wanted[]>): Promise<Plan> => {
    const { projectPath, actionId, signal } = request;
    const repository = await inspect(projectPath, { ...(signal && { signal }) });
    const scratch = path.join(path.dirname(canonical(locksDir)), 'changes', actionId);
    try {
      const checkout = await openCheckout({ locksDir, repository, scratch, ...(signal && { signal }) });
      return await makePlan(checkout, await wanted(checkout), actionRef(actionId));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  };
  return {
    planApply: (request) => plan(request, (checkout) => changedPaths(checkout, request)),
    planUndo: (request) =>
      plan(request, async ({ topLevel }) => {
        if (topLevel === request.applied.checkout) return backwards(request.applied);
        const { checkout } = request.applied;
        throw new LonghaulError(
          'change_not_applicable',
          `The change was applied to ${checkout}, and the project's checkout is now ${topLevel}. Undo it there by hand.`,
        );
      }),
    write: writeFiles,
    takeBack,
    exclusively: (topLevel, work, signal) =>
      withLock({ locksDir, subject: `checkout ${topLevel}`, ...(signal && { signal }) }, work),
  };
}

/**
 * Returns the paths that the change adds, modifies or deletes, from git's diff of the change's base and result. A
 * renamed file is listed as a deleted path and a new path.
 */
async function changedPaths(checkout: Checkout, { base, result }: ApplyRequest): Promise<Wanted[]> {
  const at = inCheckout(checkout);
  for (const commit of [base, result]) {
    const there = await tryGit(['cat-file', '-e', `${commit}^{tree}`], at);
    if (there.exitCode === 0) continue;
    throw new LonghaulError(
      'change_not_applicable',
      `The commit ${commit} of the change is neither in the project nor in its mirror: the change cannot be merged. \`longhaul diff\` still prints its patch.`,
    );
  }
  const args = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-abbrev', '--ignore-submodules=none'];
  const fields = splitFields(await git([...args, base, result], at));
  const wanted: Wanted[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [oldMode = '', newMode = '', oldBlob = '', newBlob = ''] =
      fields[index]?.toString('latin1').slice(1).split(' ') ?? [];
    const name = fields[index + 1] ?? Buffer.of();
    wanted.push({ path: name, base: sideOf(oldMode, oldBlob), theirs: sideOf(newMode, newBlob) });
  }
  return wanted;
}

const sideOf = (mode: string, blob: string): Side => (/^0+$/.test(mode) ? null : { mode, blob });

/**
 * Returns the paths that an apply wrote, for the undo: `base` is the content that the apply wrote, and `theirs` the
 * content before the apply.
 */
const backwards = ({ entries }: Journal): Wanted[] =>
  entries.map((entry) => ({
    path: pathOf(entry),
    base: entry.new,
    theirs: entry.was === null ? null : entry.old,
    disk: { base: entry.becomes, theirs: entry.was },
  }));
