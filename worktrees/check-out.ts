/**
 * Checks out the files of a new worktree through its entry in the mirror. So the entry has an index with which the
 * later steps compare the files, and the objects that git fetches for a partial clone are stored in the mirror.
 *
 * A partial clone needs its remote only for objects that neither the project nor the mirror has. So the first attempt
 * runs without the network. If it fails, the remote must respond within a minute; git then fetches all missing objects
 * in one batch. If the remote is unavailable, the task fails with `remote_unavailable` and is not retried, because only
 * the user can make the remote available.
 */
import { LonghaulError } from '../contract/errors.ts';
import { git, gitError, type GitOptions, type GitOutcome, lastLine, tryGit, WITHOUT_NETWORK } from './git.ts';
import { WITHOUT_LFS, hasLfs, usesLfs } from './lfs.ts';
import { promisorOf, readState } from './mirror.ts';

export interface CheckOut {
  readonly mirror: string;
  readonly worktreePath: string;
  /** The worktree's entry in the mirror. */
  readonly adminDir: string;
  readonly signal?: AbortSignal;
}

/** Git must not split the index into two files, because a copy of the index would lack the second file. */
const WHOLE_INDEX = { 'core.splitIndex': 'false' } as const;
const RESET = ['reset', '--quiet', '--hard', '--no-recurse-submodules'];
const ANSWER_MS = 60_000;
/** Makes git end an HTTP transfer that stays below 1 byte a second for 60 s. */
const SILENCE = { GIT_HTTP_LOW_SPEED_LIMIT: '1', GIT_HTTP_LOW_SPEED_TIME: '60' };

/** Checks out the files and returns the warnings for the user. */
export async function checkOut({ mirror, worktreePath, adminDir, signal }: CheckOut): Promise<string[]> {
  const env = { GIT_DIR: adminDir, GIT_WORK_TREE: worktreePath };
  const options = { cwd: worktreePath, env, settings: WHOLE_INDEX, ...(signal && { signal }) };
  const remote = promisorOf(readState(mirror));
  const outcome = remote === undefined ? await tryGit(RESET, options) : await resetPartial(remote, mirror, options);
  if (outcome.exitCode !== 0) {
    if (!/lfs/i.test(outcome.stderr)) throw gitError(RESET, worktreePath, outcome);
    await git(RESET, { ...options, settings: { ...WITHOUT_LFS, ...WHOLE_INDEX } });
    return ['git-lfs could not fetch all large files of this repository: the agent sees pointer files instead.'];
  }
  if (hasLfs() || !usesLfs(worktreePath)) return [];
  return [
    'This repository keeps large files with git-lfs, which is not installed: the agent sees pointer files instead.',
  ];
}

async function resetPartial(remote: string, mirror: string, options: GitOptions): Promise<GitOutcome> {
  const offline = await tryGit(RESET, { ...options, env: { ...options.env, ...WITHOUT_NETWORK } });
  if (offline.exitCode === 0) return offline;
  const signal = options.signal && { signal: options.signal };
  const asked = await tryGit(['ls-remote', '--quiet', remote, 'HEAD'], {
    cwd: mirror,
    deadlineMs: ANSWER_MS,
    ...signal,
  }).catch((error: unknown) => {
    if (error instanceof LonghaulError && error.code === 'step_timeout')
      throw unavailable(remote, `it did not answer within ${ANSWER_MS / 1000} s`);
    throw error;
  });
  if (asked.exitCode !== 0) throw unavailable(remote, lastLine(asked.stderr));
  const online = await tryGit(RESET, { ...options, env: { ...options.env, ...SILENCE } });
  if (online.exitCode !== 0 && /promisor remote|remote repository|unable to access/i.test(online.stderr))
    throw unavailable(remote, lastLine(online.stderr));
  return online;
}

function unavailable(remote: string, why: string): LonghaulError {
  return new LonghaulError(
    'remote_unavailable',
    `The project is a partial clone, and its remote ${remote}, which has the files that are missing here, is unavailable: ${why}. Make the remote reachable, or fetch the files there with \`git checkout HEAD -- .\`, and submit the task again.`,
  );
}
