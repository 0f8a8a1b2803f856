import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { worktreeFiles } from '../../agents/acp/files.ts';

const bases: string[] = [];

afterEach(() => {
  for (const base of bases.splice(0)) rmSync(base, { recursive: true });
});

function place() {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-files-')));
  bases.push(base);
  const [root, outside] = [join(base, 'tree'), join(base, 'outside')];
  mkdirSync(root);
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret.txt'), 'secret');
  writeFileSync(join(root, '.git'), 'gitdir: /elsewhere\n');
  return { root, outside, files: worktreeFiles(root) };
}

test('files inside the worktree are written, with their folders, and read by lines', async () => {
  const { root, files } = place();
  await files.write(join(root, 'a/b/c.txt'), 'one\ntwo\nthree');
  await files.write('relative.txt', 'r');
  expect(await files.read(join(root, 'a/b/c.txt'))).toBe('one\ntwo\nthree');
  expect(await files.read(join(root, 'a/b/c.txt'), { line: 2 })).toBe('two\nthree');
  expect(await files.read(join(root, 'a/b/c.txt'), { line: 2, limit: 1 })).toBe('two\n');
  expect(await files.read(join(root, 'a/b/c.txt'), { limit: 1 })).toBe('one\n');
  expect(readFileSync(join(root, 'relative.txt'), 'utf8')).toBe('r');
});

test('a file keeps its mode, a link inside stays a link, and no temporary file remains', async () => {
  const { root, files } = place();
  writeFileSync(join(root, 'run.sh'), 'old');
  chmodSync(join(root, 'run.sh'), 0o751);
  symlinkSync('run.sh', join(root, 'link'));
  await files.write(join(root, 'link'), 'new');
  expect(readFileSync(join(root, 'run.sh'), 'utf8')).toBe('new');
  expect(statSync(join(root, 'run.sh')).mode & 0o777).toBe(0o751);
  expect(readdirSync(root).sort()).toEqual(['.git', 'link', 'run.sh']);
});

test.each([
  ['an absolute path elsewhere', ({ outside }: ReturnType<typeof place>) => join(outside, 'secret.txt')],
  ['a path with ..', ({ root }: ReturnType<typeof place>) => `${root}/../outside/secret.txt`],
  ['a relative path with ..', () => '../outside/secret.txt'],
  [
    'a link to a file outside',
    ({ root, outside }: ReturnType<typeof place>) => {
      symlinkSync(join(outside, 'secret.txt'), join(root, 'innocent.txt'));
      return join(root, 'innocent.txt');
    },
  ],
  [
    'a file in a linked folder',
    ({ root, outside }: ReturnType<typeof place>) => {
      symlinkSync(outside, join(root, 'folder'));
      return join(root, 'folder/secret.txt');
    },
  ],
  [
    'a new file in a new folder of a linked folder',
    ({ root, outside }: ReturnType<typeof place>) => {
      symlinkSync(outside, join(root, 'folder'));
      return join(root, 'folder/new/file.txt');
    },
  ],
  ['a sibling whose name begins the same', ({ root }: ReturnType<typeof place>) => `${root}-2/file.txt`],
])('%s is refused, for reading and for writing', async (_, make) => {
  const where = place();
  const path = make(where);
  await expect(where.files.read(path)).rejects.toThrow(/is outside of the worktree/);
  await expect(where.files.write(path, 'gotcha')).rejects.toThrow(/is outside of the worktree/);
  expect(readdirSync(where.outside)).toEqual(['secret.txt']);
  expect(readFileSync(join(where.outside, 'secret.txt'), 'utf8')).toBe('secret');
});

test.each(['.git', '.git/hooks/pre-commit', 'sub/.GIT/config', 'link/hooks/post-checkout'])(
  'writing %s is refused, because it belongs to git',
  async (path) => {
    const { root, files } = place();
    mkdirSync(join(root, 'nested/.git'), { recursive: true });
    symlinkSync('nested/.git', join(root, 'link'));
    await expect(files.write(join(root, path), 'x')).rejects.toThrow(/belongs to git|Refused/);
    expect(readFileSync(join(root, '.git'), 'utf8')).toBe('gitdir: /elsewhere\n');
    expect(readdirSync(join(root, 'nested/.git'))).toEqual([]);
  },
);

test('a missing file is reported as ENOENT, a folder and a pipe are refused', async () => {
  const { root, files } = place();
  await expect(files.read(join(root, 'none.txt'))).rejects.toMatchObject({
    code: -32002,
    message: expect.stringContaining('ENOENT') as string,
  });
  await expect(files.read(root)).rejects.toThrow(/not a regular file/);
  await expect(files.write(root, 'x')).rejects.toThrow(/the worktree itself/);
  execFileSync('mkfifo', [join(root, 'pipe')]);
  await expect(files.read(join(root, 'pipe'))).rejects.toThrow(/not a regular file/);
  await expect(files.write(join(root, 'pipe'), 'x')).rejects.toThrow(/not a regular file/);
});

test('a dangling link is replaced, not followed', async () => {
  const { root, outside, files } = place();
  symlinkSync(join(outside, 'new.txt'), join(root, 'dangling'));
  await files.write(join(root, 'dangling'), 'mine');
  expect(readdirSync(outside)).toEqual(['secret.txt']);
  expect(readFileSync(join(root, 'dangling'), 'utf8')).toBe('mine');
});
