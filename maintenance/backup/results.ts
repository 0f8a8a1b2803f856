/** Results of tasks, the commits under refs/longhaul, out of a project's repository and into it again. */
import { git, gitText, tryGit } from '../../worktrees/git.ts';

export interface Results {
  readonly refs: Record<string, string>;
  readonly bundled: boolean;
}

/** Undefined: the project is not on this machine, or is no repository any more. */
export async function bundleResults(project: string, bundle: string): Promise<Results | undefined> {
  const found = await tryGit(['for-each-ref', '--format=%(objectname) %(refname)', 'refs/longhaul/'], { cwd: project });
  if (found.exitCode !== 0) return undefined;
  const lines = found.stdout.toString('utf8').split('\n').filter(Boolean);
  const refs = Object.fromEntries(
    lines.map((line) => {
      const [commit = '', ref = ''] = line.split(' ');
      return [ref, commit];
    }),
  );
  if (lines.length === 0) return { refs, bundled: false };
  // What is in branches and tags is the project's own to keep.
  const reachable = ['--not', '--branches', '--tags', '--remotes'];
  const own = await gitText(['rev-list', '--max-count=1', '--glob=refs/longhaul', ...reachable], { cwd: project });
  if (own.trim() === '') return { refs, bundled: false };
  await git(['bundle', 'create', '--quiet', bundle, '--glob=refs/longhaul', ...reachable], { cwd: project });
  return { refs, bundled: true };
}

/** Puts back the refs that are missing. Returns those whose commits are in neither the bundle nor the project. */
export async function restoreResults(project: string, bundle: string, { refs, bundled }: Results): Promise<string[]> {
  const repository = await tryGit(['rev-parse', '--git-dir'], { cwd: project });
  if (repository.exitCode !== 0) return Object.keys(refs);
  if (bundled) {
    // Objects only: a ref that is there stays as it is.
    const unbundled = await tryGit(['bundle', 'unbundle', bundle], { cwd: project });
    if (unbundled.exitCode !== 0) return Object.keys(refs);
  }
  const missing: string[] = [];
  for (const [ref, commit] of Object.entries(refs)) {
    const there = await tryGit(['cat-file', '-e', `${commit}^{commit}`], { cwd: project });
    if (there.exitCode !== 0) missing.push(ref);
    else await tryGit(['update-ref', ref, commit, ''], { cwd: project });
  }
  return missing;
}
