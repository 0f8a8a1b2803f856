/**
 * Writes the results of tasks to a bundle for a backup, and restores them to the mirror. The results are the commits
 * under refs/longhaul in a project's mirror and in the project.
 */
import { git, gitText, tryGit } from '../../worktrees/git.ts';
import { ensureMirror } from '../../worktrees/mirror.ts';
import { inspect } from '../../worktrees/repository.ts';
import { locksOf, repositoriesWithResults } from '../../worktrees/worktrees.ts';

export interface Results {
  readonly refs: Record<string, string>;
  readonly bundled: boolean;
}

/**
 * Writes the bundle. Returns the refs of the results, or undefined if the project is not on this machine or is no
 * longer a repository.
 */
export async function bundleResults(home: string, project: string, bundle: string): Promise<Results | undefined> {
  const places = await repositoriesWithResults(locksOf(home), project).catch(() => undefined);
  if (places === undefined) return undefined;
  const found = await Promise.all(places.map(refsIn));
  const refs = Object.assign({}, ...found.toReversed()) as Record<string, string>;
  if (Object.keys(refs).length === 0) return { refs, bundled: false };
  // The mirror first gets the refs that earlier versions stored in the project, because git writes a bundle from refs,
  // not from single commits.
  const repository = await inspect(project);
  const cwd = await ensureMirror({ locksDir: locksOf(home), repository, because: 'missing' });
  for (const [ref, commit] of Object.entries(refs)) await tryGit(['update-ref', ref, commit, ''], { cwd });
  // Commits that branches and tags of the project contain are not written to the bundle, because the project itself
  // keeps them.
  const reachable = ['--not', '--branches', '--tags', '--remotes'];
  const own = await gitText(['rev-list', '--max-count=1', '--glob=refs/longhaul', ...reachable], { cwd });
  if (own.trim() === '') return { refs, bundled: false };
  await git(['bundle', 'create', '--quiet', bundle, '--glob=refs/longhaul', ...reachable], { cwd });
  return { refs, bundled: true };
}

async function refsIn(cwd: string): Promise<Record<string, string>> {
  const text = await gitText(['for-each-ref', '--format=%(objectname) %(refname)', 'refs/longhaul/'], { cwd });
  const lines = text.split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const [commit = '', ref = ''] = line.split(' ');
      return [ref, commit];
    }),
  );
}

/** Adds the missing refs to the mirror. Returns those whose commits are in neither the bundle nor the project. */
export async function restoreResults(
  home: string,
  project: string,
  { bundle, refs, bundled }: Results & { readonly bundle: string },
): Promise<string[]> {
  const repository = await inspect(project).catch(() => undefined);
  if (repository === undefined) return Object.keys(refs);
  const cwd = await ensureMirror({ locksDir: locksOf(home), repository });
  if (bundled) {
    // `git bundle unbundle` adds only objects, so it changes no refs.
    const unbundled = await tryGit(['bundle', 'unbundle', bundle], { cwd });
    if (unbundled.exitCode !== 0) return Object.keys(refs);
  }
  const missing: string[] = [];
  for (const [ref, commit] of Object.entries(refs)) {
    const there = await tryGit(['cat-file', '-e', `${commit}^{commit}`], { cwd });
    if (there.exitCode !== 0) missing.push(ref);
    else await tryGit(['update-ref', ref, commit, ''], { cwd });
  }
  return missing;
}
