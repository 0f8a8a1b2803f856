/** Objects that go missing while a change is stored: it is stored again, or the step fails and leaves no ref. */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { gitIn, writeFiles } from '../lab/repositories.ts';
import { type AgentTree, type Lab, openLab } from './lab.ts';

const realGit = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();

/** Every git of ours runs these lines of shell first. */
async function beforeOurGit({ root }: Lab, ...lines: string[]): Promise<void> {
  const { PATH = '' } = process.env;
  process.env['PATH'] = `${path.join(root, 'bin')}:${PATH}`;
  onTestFinished(() => {
    process.env['PATH'] = PATH;
  });
  const content = ['#!/bin/sh', ...lines, `exec ${realGit} "$@"`, ''].join('\n');
  await writeFiles(root, { 'bin/git': { mode: 0o755, content } });
}

/** Shell: blobs that our ref alone names are gone when the commit is checked, the first `times` times. */
const stealing = ({ root, mirror }: Lab, base: string, times: number): string[] => [
  `case " $* " in *" diff-tree"*)`,
  `  echo >> ${root}/thefts`,
  `  if [ $(wc -l < ${root}/thefts) -le ${times} ]; then`,
  `    cd ${mirror}`,
  `    for id in $(${realGit} rev-list --objects --no-object-names refs/longhaul/tasks/task-1 ^${base}); do`,
  `      [ $(${realGit} cat-file -t $id) = blob ] && echo objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)`,
  `    done > ${root}/doomed`,
  `    rm $(cat ${root}/doomed)`,
  `  fi;;`,
  `esac`,
];

const works: [string, (tree: AgentTree) => Promise<unknown>][] = [
  ['new', () => Promise.resolve()],
  ['staged', (tree) => gitIn(tree.worktreePath, 'add', '--all')],
];

test.each(works)('objects of %s files that are missing at the check are stored again', async (_, work) => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'deep/er/new.txt': 'new\n', 'src/greet.js': 'changed\n' });
  await work(tree);
  await beforeOurGit(lab, ...stealing(lab, tree.base, 1));
  const { commit, files } = await tree.change();
  expect(files.map((file) => file.path)).toEqual(['deep/er/new.txt', 'src/greet.js']);
  expect(await lab.inMirror('rev-parse', tree.ref)).toBe(commit);
  await lab.inMirror('fsck', '--connectivity-only');
});

test('objects that are removed again and again fail the step for a retry, and leave no ref', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  await beforeOurGit(lab, ...stealing(lab, tree.base, 1_000));
  await expect(tree.collect()).rejects.toMatchObject({ code: 'git_failed' });
  expect(await lab.inMirror('for-each-ref', 'refs/longhaul')).toBe('');
});

test('an incomplete ref of an earlier run, killed before its check, is deleted when nothing can be stored', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  await beforeOurGit(lab, `case " $* " in *" add "*) echo 'fatal: told to fail' >&2; exit 128;; esac`);
  expect(await tree.collect()).toMatchObject({
    kind: 'kept',
    reason: expect.stringContaining('told to fail') as string,
  });
  expect(await lab.inMirror('for-each-ref', 'refs/longhaul'), 'whole').toContain(tree.ref);
  const blob = await lab.inMirror('rev-parse', `${tree.ref}:new.txt`);
  await rm(path.join(lab.mirror, 'objects', blob.slice(0, 2), blob.slice(2)));
  expect(await tree.collect()).toMatchObject({ kind: 'kept' });
  expect(await lab.inMirror('for-each-ref', 'refs/longhaul'), 'broken').toBe('');
});

test('a git add that fails twice and then succeeds stores the work', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  const count = path.join(lab.root, 'adds');
  const failing = `[ $(wc -l < ${count}) -le 2 ] && echo 'fatal: adding files failed' >&2 && exit 128`;
  await beforeOurGit(lab, `case " $* " in *" add "*) echo >> ${count}; ${failing};; esac`);
  expect((await tree.change()).files).toMatchObject([{ path: 'new.txt' }]);
});
