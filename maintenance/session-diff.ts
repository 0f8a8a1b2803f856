/**
 * Computes the combined change of all tasks of a session, from the base of the first task to the result of the last.
 * The stored change of a single task is relative to the task before it.
 *
 * Two successive changes are combined if the later one starts at the result of the earlier one. Otherwise, for example
 * because the later task started from the project's commit, all changes before the later one are left out, and only the
 * number of these changes is returned.
 */
import { describe, type ReadDeps } from '../client/tasks.ts';
import { isResult, type SessionChange, sessionChanges } from '../store/diffs.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { DIFF_CUT_LINE } from '../contract/vocabulary.ts';
import { gitText, tryGit } from '../worktrees/git.ts';
import { inspect } from '../worktrees/repository.ts';
import { AUTHOR } from '../worktrees/store.ts';
import { locksOf, repositoryWith } from '../worktrees/worktrees.ts';
import { type ChangedFile, diffTrees, PATCH_LIMIT_BYTES, readableDiff } from '../worktrees/tree-diff.ts';

export interface SessionDiff {
  readonly session_id: SessionId;
  readonly base_commit: string;
  readonly result_commit: string;
  /** The number of changes that are combined. `earlier_changes` is the number of older changes that are left out. */
  readonly changes: number;
  readonly earlier_changes: number;
  /**
   * Whether the combined change starts at the result of a removed task. Then the combined change does not contain the
   * change of the removed task, because git no longer has the base of that change.
   */
  readonly begins_after_removed_task: boolean;
  readonly partial: boolean;
  readonly files: readonly ChangedFile[];
  readonly additions: number;
  readonly deletions: number;
  readonly diff: string;
  readonly diff_truncated: boolean;
  readonly patch: Buffer;
  /** The newest task whose change is included. Null if this task was removed. */
  readonly newest: TaskId | null;
}

/**
 * Returns the combined change of the session to which the task belongs. Returns undefined if the session has no change.
 */
export async function sessionDiff(deps: ReadDeps, home: string, taskId: TaskId): Promise<SessionDiff | undefined> {
  const { session_id: sessionId, project_path: projectPath } = await describe(deps, taskId);
  const all = sessionId ? await sessionChanges(deps.sql, sessionId) : [];
  const chain = newestChain(all);
  const [first, last] = [chain[0], chain.at(-1)];
  if (!sessionId || !first || !last) return undefined;
  const { topLevel } = await inspect(projectPath ?? undefined);
  const result = last.result_commit;
  const commonDir = await repositoryWith(locksOf(home), topLevel, result);
  if (commonDir === undefined) throw hasNot(topLevel, result);
  if (!(await hasCommit(commonDir, first.base_commit))) throw hasNot(commonDir, first.base_commit);
  const base = await baseBelowRemovedTasks(deps, commonDir, first.base_commit);
  const found = await diffTrees(base, result, { cwd: commonDir });
  if (!found) {
    const message = `The session's change is larger than ${PATCH_LIMIT_BYTES / 1024 / 1024} MB: take it from its commits, ${base}..${result}.`;
    throw new LonghaulError('invalid_input', message);
  }
  const { files, patch } = found;
  const diff = await readableDiff(found, { cwd: commonDir });
  return {
    session_id: sessionId,
    base_commit: base,
    result_commit: result,
    changes: chain.length,
    earlier_changes: all.length - chain.length,
    begins_after_removed_task: (await isOurs(commonDir, base)) && !(await isResult(deps.sql, base)),
    newest: last.task_id,
    partial: last.partial,
    files,
    additions: files.reduce((sum, file) => sum + file.additions, 0),
    deletions: files.reduce((sum, file) => sum + file.deletions, 0),
    diff,
    diff_truncated: diff.endsWith(`${DIFF_CUT_LINE}\n`),
    patch,
  };
}

function newestChain(changes: readonly SessionChange[]): readonly SessionChange[] {
  const isBreak = (at: number): boolean => changes[at]?.base_commit !== changes[at - 1]?.result_commit;
  const start = changes.findLastIndex((_, at) => at === 0 || isBreak(at));
  return changes.slice(Math.max(0, start));
}

/**
 * Returns the commit from which the first task of the session started. The change may begin at results of removed
 * tasks. Each result has its base as its parent, so the parents lead to that commit. If git has removed one of the
 * results, the result above it is returned.
 */
async function baseBelowRemovedTasks({ sql }: ReadDeps, commonDir: string, base: string): Promise<string> {
  let at = base;
  while ((await isOurs(commonDir, at)) && !(await isResult(sql, at))) {
    const parent = await tryGit(['rev-parse', '--verify', '--quiet', `${at}^1^{commit}`], { cwd: commonDir });
    if (parent.exitCode !== 0) return at;
    at = parent.stdout.toString().trim();
  }
  return at;
}

/**
 * Returns whether Longhaul created the commit as the result of a task. It reads the commit, not the refs, because the
 * user may have removed the refs.
 */
async function isOurs(commonDir: string, commit: string): Promise<boolean> {
  // `git log` is not used, because it fails if a parent is missing.
  const text = await gitText(['cat-file', 'commit', commit], { cwd: commonDir });
  return /^author .*<(.*)>/m.exec(text)?.[1] === AUTHOR.email;
}

async function hasCommit(commonDir: string, commit: string): Promise<boolean> {
  return (await tryGit(['cat-file', '-e', `${commit}^{commit}`], { cwd: commonDir })).exitCode === 0;
}

const hasNot = (folder: string, commit: string): LonghaulError =>
  new LonghaulError('git_failed', `The repository in ${folder} has no commit ${commit}: it may have been removed.`);
