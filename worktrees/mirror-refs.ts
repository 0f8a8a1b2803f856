/**
 * Reads the refs of a project from git's files (gitrepository-layout, `packed-refs`), without starting git and without
 * reading objects. It leaves out refs of a single checkout (bisect, stash, worktree) and the results of tasks.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { gitText } from './git.ts';
import { plainFile } from './plain-file.ts';
import { orAbsentSync } from './repository.ts';

export interface ProjectRefs {
  /** The id of the commit or tag for each ref name, sorted by name. */
  readonly refs: ReadonlyMap<string, string>;
  /** The targets of symbolic refs such as `refs/remotes/origin/HEAD`. */
  readonly symbolic: ReadonlyMap<string, string>;
}

const OF_ONE_CHECKOUT = /^refs\/(longhaul|bisect|worktree|rewritten|stash|original|prefetch)(\/|$)/;
const VALUE = /^(?:ref: (refs\/\S+)|([0-9a-f]{40}|[0-9a-f]{64}))\s*$/;

export async function readRefs(commonDir: string, signal?: AbortSignal): Promise<ProjectRefs> {
  const isTable = orAbsentSync(() => readdirSync(path.join(commonDir, 'reftable'))) !== undefined;
  return isTable ? readByGit(commonDir, signal) : readFiles(commonDir);
}

async function readByGit(commonDir: string, signal: AbortSignal | undefined): Promise<ProjectRefs> {
  const args = ['for-each-ref', '--format=%(objectname) %(refname) %(symref)'];
  const text = await gitText(args, { cwd: commonDir, ...(signal && { signal }) });
  const [refs, symbolic] = [new Map<string, string>(), new Map<string, string>()];
  for (const line of text.split('\n').filter(Boolean)) {
    const [value = '', name = '', target = ''] = line.split(' ');
    if (OF_ONE_CHECKOUT.test(name)) continue;
    if (target === '') refs.set(name, value);
    else symbolic.set(name, target);
  }
  return { refs, symbolic };
}

function readFiles(commonDir: string): ProjectRefs {
  const [refs, symbolic] = [new Map<string, string>(), new Map<string, string>()];
  for (const line of (plainFile(path.join(commonDir, 'packed-refs'))?.toString('utf8') ?? '').split('\n')) {
    const [, value = '', name = ''] = /^([0-9a-f]+) (refs\/\S+)$/.exec(line) ?? [];
    if (name !== '' && !OF_ONE_CHECKOUT.test(name)) refs.set(name, value);
  }
  const visit = (name: string): void => {
    if (OF_ONE_CHECKOUT.test(name)) return;
    for (const item of orAbsentSync(() => readdirSync(path.join(commonDir, name), { withFileTypes: true })) ?? []) {
      const below = `${name}/${item.name}`;
      if (item.isDirectory()) visit(below);
      else if (!below.endsWith('.lock') && !OF_ONE_CHECKOUT.test(below)) readLoose(below);
    }
  };
  const readLoose = (name: string): void => {
    const [, target, value] = VALUE.exec(plainFile(path.join(commonDir, name))?.toString('utf8') ?? '') ?? [];
    if (target !== undefined) symbolic.set(name, target);
    if (value !== undefined) refs.set(name, value);
  };
  visit('refs');
  const inOrder = (map: Map<string, string>): Map<string, string> =>
    new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { refs: inOrder(refs), symbolic: inOrder(symbolic) };
}

/** The content of a `packed-refs` file. It has no header, so git reads the target of each tag itself. */
export const packedRefsText = (refs: ReadonlyMap<string, string>): string =>
  [...refs].map(([name, value]) => `${value} ${name}\n`).join('');
