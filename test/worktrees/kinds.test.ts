/** Kinds of projects beyond a plain checkout: each works, or is refused in one sentence before an agent starts. More of them: mirror.test.ts, create.test.ts. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { fetchResults } from '../../maintenance/fetch-results.ts';
import type { TaskId } from '../../contract/ids.ts';
import { gitIn, treeOf, writeFiles } from '../lab/repositories.ts';
import { type Lab, openLab } from './lab.ts';

const run = promisify(execFile);

test.each([
  ['refStorage', 'reftable'],
  ['somethingNew', 'true'],
])('a repository with extensions.%s that this git cannot read is refused in one sentence', async (key, value) => {
  const { repository, worktrees, create } = await openLab();
  await repository.git('config', 'core.repositoryFormatVersion', '1');
  await repository.git('config', `extensions.${key}`, value);
  const canRead = await run('git', ['-C', repository.path, 'rev-parse', 'HEAD']).then(
    () => true,
    () => false,
  );
  if (canRead) return void (await create()); // a newer git
  const refused = worktrees.inspect(repository.path);
  await expect(refused).rejects.toMatchObject({ code: 'not_a_repository' });
  await expect(refused).rejects.toThrow(/cannot read the repository in .*Install a newer git/);
});

/** A partial clone without the blobs of files, whose remote notes each time that it is asked. */
async function partialClone(
  lab: Lab,
): Promise<{ projectPath: string; asked: () => Promise<string[]>; server: string }> {
  const { root, repository } = lab;
  await repository.git('config', 'uploadpack.allowFilter', 'true');
  await repository.git('config', 'uploadpack.allowAnySHA1InWant', 'true');
  const origin = path.join(root, 'origin.git');
  await gitIn(root, 'clone', '--quiet', '--bare', repository.path, origin);
  for (const key of ['allowFilter', 'allowAnySHA1InWant']) await gitIn(origin, 'config', `uploadpack.${key}`, 'true');
  const projectPath = path.join(root, 'partial');
  const flags = ['--no-checkout', '--filter=blob:none'];
  await gitIn(root, 'clone', '--quiet', ...flags, `file://${origin}`, projectPath);
  const server = path.join(root, 'upload-pack');
  const log = path.join(root, 'asked');
  const script = `#!/bin/sh\ntee -a '${log}.in' | git-upload-pack "$@"\necho asked >> '${log}'\n`;
  await writeFiles(root, { 'upload-pack': { mode: 0o755, content: script } });
  await gitIn(projectPath, 'config', 'remote.origin.uploadpack', server);
  const asked = async (): Promise<string[]> =>
    (await readFile(`${log}.in`, 'latin1').catch(() => '')).match(/command=fetch|command=ls-refs/g) ?? [];
  return { projectPath, asked, server };
}

test('a partial clone asks its remote for what is missing in one batch, and never again', async () => {
  const lab = await openLab({ 'a.txt': 'a\n', 'b.txt': 'b\n', 'deep/c.txt': 'c\n', '.gitattributes': '*.txt text\n' });
  const { projectPath, asked } = await partialClone(lab);
  const before = await treeOf(path.join(projectPath, '.git'));
  const place = { projectPath, worktreePath: path.join(lab.root, 'home/worktrees/one') };
  const { base } = await lab.worktrees.create(place);
  expect(await treeOf(place.worktreePath)).toEqual(await treeOf(lab.repository.path));
  expect((await asked()).filter((one) => one === 'command=fetch')).toHaveLength(1);
  const all = await asked();
  await writeFile(path.join(place.worktreePath, 'a.txt'), 'changed\n');
  await rm(path.join(place.worktreePath, 'b.txt'));
  const collected = await lab.worktrees.collect({ ...place, base, ref: 'refs/longhaul/tasks/one', message: 'x' });
  expect(collected).toMatchObject({ kind: 'changed', files: [{ path: 'a.txt' }, { path: 'b.txt' }] });
  await lab.worktrees.create({ projectPath, worktreePath: path.join(lab.root, 'home/worktrees/two') });
  expect(await lab.worktrees.hasCommit(projectPath, 'f'.repeat(40))).toBe(false);
  expect(await asked(), 'not asked again').toEqual(all);
  expect(await treeOf(path.join(projectPath, '.git'))).toEqual(before);
});

test.each<[string, (server: string) => Promise<unknown>, RegExp]>([
  [
    'is gone',
    async (server) => {
      await rm(path.join(path.dirname(server), 'origin.git'), { recursive: true });
      await writeFile(server, '#!/bin/sh\nexec git-upload-pack "$@"\n');
    },
    /its remote origin, .* is unavailable: .* Make the remote reachable/,
  ],
  [
    'accepts and never answers',
    (server) => writeFile(server, '#!/bin/sh\nexec cat > /dev/null\n'),
    /its remote origin, .* is unavailable: it did not answer within 60 s/,
  ],
])('a partial clone whose remote %s: fails once, by its name, without a retry', async (_, damage, words) => {
  const lab = await openLab();
  const { projectPath, server } = await partialClone(lab);
  await damage(server);
  const refused = lab.worktrees.create({ projectPath, worktreePath: path.join(lab.root, 'home/worktrees/one') });
  await expect(refused).rejects.toMatchObject({ code: 'remote_unavailable', facts: { retryable: false } });
  await expect(refused).rejects.toThrow(words);
});

/** A filter program that does what git-lfs does with files: content beside the objects, pointers in git. */
const LFS = `#!/bin/sh
store=$(git rev-parse --git-common-dir)/lfs/objects
at() { echo "$1/$(echo $2 | cut -c1-2)/$(echo $2 | cut -c3-4)/$2"; }
case $1 in
  clean)
    content=$(mktemp); cat > $content
    id=$(sha256sum < $content | cut -c1-64); file=$(at $store $id)
    mkdir -p $(dirname $file); cp $content $file
    printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' $id $(wc -c < $content);;
  smudge)
    id=$(sed -n 's/^oid sha256://p')
    for place in $store $(sed 's|/objects$|/lfs/objects|' "$(git rev-parse --git-path objects)/info/alternates" 2>/dev/null); do
      file=$(at $place $id); [ -f $file ] && exec cat $file
    done
    echo "lfs: $id is missing" >&2; exit 1;;
esac
`;

test('large files of git-lfs: contents for the agent, pointers in the result, and the contents with longhaul fetch', async () => {
  const lab = await openLab({ '.gitattributes': '*.bin filter=lfs -text\n' });
  const { root, repository } = lab;
  await writeFiles(root, { 'bin/git-lfs': { mode: 0o755, content: LFS } });
  vi.stubEnv('PATH', `${path.join(root, 'bin')}:${process.env['PATH'] ?? ''}`);
  for (const [key, value] of Object.entries({ clean: 'clean', smudge: 'smudge' }))
    await repository.git('config', `filter.lfs.${key}`, `${path.join(root, 'bin/git-lfs')} ${value}`);
  await repository.git('config', 'filter.lfs.required', 'true');
  await repository.write({ 'big.bin': 'the large content\n' });
  await repository.commit('Large');
  expect(await repository.git('show', 'HEAD:big.bin')).toContain('oid sha256:');
  const tree = await lab.create();
  expect(tree.warnings).toEqual([]);
  expect(await readFile(tree.file('big.bin'), 'utf8')).toBe('the large content\n');
  expect(await gitIn(tree.worktreePath, 'status', '--porcelain')).toBe('');
  await gitIn(tree.worktreePath, 'checkout', '--quiet', '--', '.');
  await tree.write({ 'new.bin': 'a new large content\n', 'big.bin': 'another large content\n' });
  const taskId = '00000000-0000-4000-8000-000000000001' as TaskId;
  const ref = `refs/longhaul/tasks/${taskId}`;
  const place = { projectPath: repository.path, worktreePath: tree.worktreePath };
  const collected = await lab.worktrees.collect({ ...place, base: tree.base, ref, message: 'x' });
  expect(collected).toMatchObject({ kind: 'changed', files: [{ path: 'big.bin' }, { path: 'new.bin' }] });
  expect(await lab.inMirror('show', `${ref}:new.bin`)).toContain('oid sha256:');
  await mkdir(path.join(root, 'home'), { recursive: true });
  expect(await fetchResults(path.join(root, 'home'), repository.path, taskId)).toMatchObject([{ ref }]);
  await repository.git('checkout', '--quiet', ref);
  expect(await readFile(path.join(repository.path, 'new.bin'), 'utf8')).toBe('a new large content\n');
  expect(await readdir(path.join(repository.path, '.git', 'lfs', 'objects'))).not.toEqual([]);
});
