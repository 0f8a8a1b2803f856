/** What agents do with git in their worktrees reaches neither the project nor another session, and no result is lost. */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn } from '../lab/repositories.ts';
import { type AgentTree, openLab } from './lab.ts';

/** Every file below the folder, by path: mode and hash. Not times: a user's own `git status` refreshes them. */
async function bytesOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const file = path.join(folder, name);
    const status = await lstat(file);
    if (status.isDirectory()) found[name] = 'folder';
    else if (status.isSymbolicLink()) found[name] = `link ${await readlink(file)}`;
    else
      found[name] = `${status.mode} ${createHash('sha256')
        .update(await readFile(file))
        .digest('hex')}`;
  }
  return found;
}

type Deed = (git: (...args: string[]) => Promise<string>, tree: AgentTree) => Promise<unknown>;

const DEEDS: Readonly<Record<string, Deed>> = {
  'sets config': (git) => git('config', 'user.name', 'Somebody Else'),
  'sets a hooks path, as husky does': async (git, tree) => {
    await tree.write({ '.husky/pre-commit': { mode: 0o755, content: '#!/bin/sh\nexit 1\n' } });
    await git('config', 'core.hooksPath', '.husky');
  },
  'writes a hook': (_, tree) =>
    tree.write({ '.git/hooks/post-commit': { mode: 0o755, content: '#!/bin/sh\nexit 1\n' } }),
  'adds a remote': (git) => git('remote', 'add', 'elsewhere', '/nowhere'),
  'makes and moves branches': async (git) => {
    await git('branch', 'feature/agents');
    await git('branch', '--force', 'main', 'HEAD');
    await git('checkout', '--quiet', '-B', 'topic');
  },
  'deletes the branch main': (git) => git('branch', '-D', 'main'),
  'makes tags': (git) => git('tag', '--annotate', '--message', 'v1', 'v1'),
  stashes: async (git, tree) => {
    await tree.write({ 'src/main.js': 'stashed\n' });
    await git('stash');
    await git('stash', 'pop');
  },
  'commits, amends and resets': async (git, tree) => {
    await tree.write({ 'committed.txt': 'committed\n' });
    await git('add', '--all');
    await git('commit', '--quiet', '--message', 'One');
    await git('commit', '--quiet', '--amend', '--message', 'Two');
    await git('reset', '--quiet', '--soft', 'HEAD~1');
  },
  'collects garbage': async (git) => {
    await git('reflog', 'expire', '--expire=now', '--all');
    await git('gc', '--quiet', '--prune=now');
  },
  'prunes worktrees': (git) => git('worktree', 'prune', '--expire', 'now'),
  'makes worktrees': (git) => git('worktree', 'add', '--quiet', '--detach', 'inside'),
  'packs refs': (git) => git('pack-refs', '--all'),
  'repacks and prunes': async (git) => {
    await git('repack', '-a', '-d', '--quiet');
    await git('prune', '--expire', 'now');
  },
  'runs git init': (git) => git('init', '--quiet'),
  'makes a repository inside': (git) => git('init', '--quiet', 'inner'),
  'sets core.worktree': (git) => git('config', 'core.worktree', '/nowhere'),
  'sets core.bare': (git) => git('config', 'core.bare', 'true'),
  'sets an extension that git does not know': async (git) => {
    await git('config', 'core.repositoryformatversion', '1');
    await git('config', 'extensions.nobodyKnows', 'true');
  },
  'sets worktreeConfig and sparse': async (git) => {
    await git('config', 'extensions.worktreeConfig', 'true');
    await git('sparse-checkout', 'set', '--cone', 'src');
  },
  'breaks its config': (_, tree) => writeFile(tree.file('.git/config'), '[core\nbroken'),
  'breaks its index': (_, tree) => writeFile(tree.file('.git/index'), 'broken'),
  'removes its objects': (_, tree) => rm(tree.file('.git/objects'), { recursive: true }),
  'removes its repository': (_, tree) => rm(tree.file('.git'), { recursive: true }),
};

test("the project's .git is byte for byte as it was, and every task has its result", async () => {
  const lab = await openLab();
  await lab.repository.git('branch', 'topic');
  await lab.repository.git('remote', 'add', 'origin', lab.repository.path);
  await lab.repository.git('fetch', '--quiet', 'origin');
  await lab.repository.git('stash', 'list');
  const dotGit = path.join(lab.repository.path, '.git');
  const before = await bytesOf(dotGit);
  const others = await lab.create('bystander');
  const bystander = await bytesOf(others.file('.git'));
  for (const [at, [name, deed]] of Object.entries(DEEDS).entries()) {
    const tree = await lab.create(`task-${at}`);
    const git = (...args: string[]): Promise<string> => gitIn(tree.worktreePath, ...args);
    await deed(git, tree);
    await tree.write({ 'result.txt': `${name}\n` });
    const change = await tree.change();
    expect(await lab.inMirror('show', `${tree.ref}:result.txt`), name).toBe(name);
    expect(
      change.files.map((file) => file.path),
      name,
    ).toContain('result.txt');
    expect(
      change.files.filter((file) => file.status === 'deleted'),
      name,
    ).toEqual([]);
    await tree.remove();
    expect(await bytesOf(dotGit), name).toEqual(before);
    expect(await bytesOf(others.file('.git')), name).toEqual(bystander);
  }
  await lab.inMirror('fsck', '--full');
  expect(await others.collect()).toMatchObject({ kind: 'none', notes: [] });
});

test("beside a user who commits, amends, gc's and prunes, all results stay whole", async () => {
  const lab = await openLab();
  const results: [string, string][] = [];
  for (let at = 0; at < 12; at += 1) {
    const tree = await lab.create(`task-${at}`);
    await tree.write({ 'result.txt': `${at}\n` });
    // The base is in no branch of the user any more, and its objects are gone.
    await lab.repository.write({ 'README.md': `edit ${at}\n` });
    await lab.repository.git('commit', '--quiet', '--all', '--amend', '--message', `Edit ${at}`);
    await lab.repository.git('reflog', 'expire', '--expire=now', '--all');
    await lab.repository.git('gc', '--quiet', '--prune=now');
    await expect(lab.repository.git('cat-file', '-e', tree.base)).rejects.toThrow();
    results.push([tree.ref, (await tree.change()).commit]);
    await tree.remove();
  }
  for (const [ref, commit] of results) expect(await lab.inMirror('rev-parse', ref)).toBe(commit);
  await lab.inMirror('fsck', '--full');
  const dotGit = path.join(lab.repository.path, '.git');
  expect((await readdir(dotGit, { recursive: true })).filter((name) => name.includes('longhaul'))).toEqual([]);
});
