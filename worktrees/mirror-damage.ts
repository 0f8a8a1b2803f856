/** Checks a mirror without changing it: whether git can use it, and whether it has the commits of all results. */
import { tryGit } from './git.ts';
import { isWhole, readState } from './mirror.ts';

const SHOWN = 3;

/**
 * Returns a sentence that says what is damaged and, if a person must decide, what to do. Returns undefined if nothing
 * is damaged.
 */
export async function mirrorDamage(mirror: string): Promise<string | undefined> {
  if (!isWhole(mirror)) return 'git finds no complete repository in it';
  if (readState(mirror) === undefined) return 'its file longhaul.json, which names its project, cannot be read';
  const listed = await tryGit(['for-each-ref', '--format=%(refname)', 'refs/longhaul/'], { cwd: mirror });
  if (listed.exitCode !== 0) return `git cannot read its refs: ${listed.stderr.trimEnd().split('\n').at(-1) ?? ''}`;
  const refs = listed.stdout.toString('utf8').split('\n').filter(Boolean);
  if (refs.length === 0) return undefined;
  const input = refs.map((ref) => `${ref}^{tree}\n`).join('');
  const checked = await tryGit(['cat-file', '--batch-check=%(objectname)'], { cwd: mirror, input });
  // Git prints one line for each ref and exits at the first broken object.
  const lines = checked.stdout.toString('utf8').split('\n').slice(0, refs.length);
  const lost = refs.filter((_, at) => !/^[0-9a-f]{40,64}$/.test(lines[at] ?? ''));
  if (lost.length === 0) return undefined;
  const named = `${lost.slice(0, SHOWN).join(', ')}${lost.length > SHOWN ? ` and ${lost.length - SHOWN} more` : ''}`;
  return `it lacks objects of ${lost.length === 1 ? 'the result' : 'the results'} ${named}. \`git -C ${mirror} update-ref -d REF\` gives ${lost.length === 1 ? 'it' : 'one'} up`;
}
