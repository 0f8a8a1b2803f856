/** What a test expects of a collected change. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { gitIn, treeOf } from '../lab/repositories.ts';
import type { AgentTree, Lab } from './lab.ts';

/** The patch, applied to a fresh checkout of the base, and the commit, checked out: both must be what the agent left. */
export async function expectSame({ root, repository, inMirror }: Lab, tree: AgentTree): Promise<void> {
  const left = await treeOf(tree.worktreePath);
  const change = await tree.change();
  const patched = path.join(root, 'patched');
  await gitIn(root, 'clone', '--quiet', repository.path, patched);
  await gitIn(patched, 'checkout', '--quiet', '--detach', tree.base);
  await writeFile(path.join(root, 'change.patch'), change.patch);
  await gitIn(patched, 'apply', '--index', '--whitespace=nowarn', path.join(root, 'change.patch'));
  expect(await treeOf(patched)).toEqual(left);
  const stored = path.join(root, 'stored');
  await inMirror('worktree', 'add', '--quiet', '--detach', stored, change.commit);
  expect(await treeOf(stored)).toEqual(left);
}

export const names = (change: { files: readonly { path: string }[] }): string[] =>
  change.files.map((file) => file.path).sort();
