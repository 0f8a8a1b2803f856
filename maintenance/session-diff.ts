/**
 * What all tasks of a session changed together: from the base of the first to the result of the last. Each task's own
 * change is relative to the task before it.
 *
 * Changes are summed up as long as each begins where the one before it ended. What came before a break, such as a task
 * that began from the project's commit, is not in the sum, and is counted.
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
  /** How many changes are in the sum, and how many older ones are not. */
  readonly changes: number;
  readonly earlier_changes: number;
  /** The sum begins at the result of a removed task, because git no longer has that task's base: that change is not in it. */
  readonly begins_after_removed_task: boolean;
  readonly partial: boolean;
  readonly files: readonly ChangedFile[];
  readonly additions: number;
  readonly deletions: number;
  readonly diff: string;
  readonly diff_truncated: boolean;
  readonly patch: Buffer;
  /** The newest task in the sum. Null: it was removed. */
  readonly newest: TaskId | null;
}

/** Undefined: the session has left no change. Of the session that the task is of. */
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
 * The commit that the first task of the session started from: the results of removed tasks below `base` are commits, each with
 * its own base as parent. Where git has removed one of them, the result above it.
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

/** Whether a task made the commit. Its ref says nothing: the user may have removed it. */
async function isOurs(commonDir: string, commit: string): Promise<boolean> {
  // Not `git log`, which fails where a parent is missing.
  const text = await gitText(['cat-file', 'commit', commit], { cwd: commonDir });
  return /^author .*<(.*)>/m.exec(text)?.[1] === AUTHOR.email;
}

async function hasCommit(commonDir: string, commit: string): Promise<boolean> {
  return (await tryGit(['cat-file', '-e', `${commit}^{commit}`], { cwd: commonDir })).exitCode === 0;
}

const hasNot = (folder: string, commit: string): LonghaulError =>
  new LonghaulError('git_failed', `The repository in ${folder} has no commit ${commit}: it may have been removed.`);
