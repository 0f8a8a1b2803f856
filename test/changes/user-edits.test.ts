/** Changes in a checkout where the user works, too: each case has one file or folder that an apply or undo must not touch. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Plan } from '../../changes/plan.ts';
import { type Files, gitIn, makeFolder, makeRepository, removeFolder, writeFiles } from '../lab/repositories.ts';
import { type ChangeLab, changeLab } from './lab.ts';
import { at, treeAt } from './tree.ts';

const LINES = Array.from({ length: 30 }, (_, line) => `line ${line}\n`);
const withLine = (lines: readonly string[], at: number, text: string): string[] => lines.with(at, `${text}\n`);

async function open(files: Files = { 'a.txt': LINES.join(''), 'b.txt': 'b\n' }): Promise<ChangeLab> {
  const root = await makeFolder();
  onTestFinished(() => removeFolder(root));
  const { path: project } = await makeRepository(path.join(root, 'project'), files);
  return changeLab(root, project);
}

async function change(lab: ChangeLab, edit: (root: string) => void | Promise<void>, base?: string) {
  const made = await lab.work(edit, base === undefined ? {} : { base });
  if (made === undefined) throw new Error('expected a change');
  return made;
}

const write = (root: string, name: string, content: string | Buffer): void => {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  writeFileSync(path.join(root, name), content);
};
const read = (lab: ChangeLab, name: string): string => readFileSync(path.join(lab.project, name), 'utf8');

/** The paths and reasons of a plan that is refused. */
function refusal(plan: Plan): string[] {
  if (plan.kind !== 'conflict') throw new Error('expected a refusal');
  return plan.paths.map(({ path: name, reason }) => `${name.toString()}: ${reason}`);
}

test('two changes of one file and an edit of the user between: undo of the first leaves the rest', async () => {
  const lab = await open();
  const first = await change(lab, (root) => write(root, 'a.txt', withLine(LINES, 2, 'first').join('')));
  const applied = await lab.apply(first, 'first');
  const second = await change(lab, (root) => write(root, 'a.txt', withLine(LINES, 15, 'second').join('')));
  await lab.apply(second, 'second');
  const both = withLine(withLine(LINES, 2, 'first'), 15, 'second');
  expect(read(lab, 'a.txt')).toBe(both.join(''));
  write(lab.project, 'a.txt', withLine(both, 27, 'user').join(''));
  write(lab.project, 'added.txt', 'user\n');
  await lab.undo(applied);
  expect(read(lab, 'a.txt')).toBe(withLine(withLine(LINES, 15, 'second'), 27, 'user').join(''));
  expect(read(lab, 'added.txt')).toBe('user\n');
});

test('undo of a hunk that the user changed since is refused by the name of its file, and nothing is written', async () => {
  const lab = await open();
  const made = await change(lab, (root) => {
    write(root, 'a.txt', withLine(LINES, 2, 'first').join(''));
    write(root, 'new.txt', 'new\n');
  });
  const applied = await lab.apply(made);
  write(lab.project, 'a.txt', withLine(LINES, 2, 'the user').join(''));
  const before = treeAt(lab.project);
  const plan = await lab.changes.planUndo({ projectPath: lab.project, actionId: 'u', applied });
  expect(refusal(plan)).toEqual(['a.txt: the same lines were changed in the checkout']);
  expect(treeAt(lab.project)).toEqual(before);
});

test('an uncommitted .gitignore, a full ignored folder and untracked notes stay through apply, a commit by hand and undo', async () => {
  const lab = await open();
  write(lab.project, '.gitignore', 'data/\n');
  write(lab.project, 'data/large.bin', 'x'.repeat(10_000));
  write(lab.project, 'notes.txt', 'notes\n');
  const before = treeAt(lab.project);
  const made = await change(lab, (root) => write(root, 'b.txt', 'agent\n'));
  const applied = await lab.apply(made);
  expect(treeAt(lab.project)).toEqual({ ...before, 'b.txt': treeAt(lab.project)['b.txt'] });
  await gitIn(lab.project, 'commit', '--quiet', '--all', '-m', 'by hand');
  await lab.undo(applied);
  expect(treeAt(lab.project)).toEqual(before);
});

test('an edit of the user beside that of the agent is merged; the same lines are refused by name', async () => {
  const lab = await open();
  const made = await change(lab, (root) => write(root, 'a.txt', withLine(LINES, 2, 'agent').join('')));
  write(lab.project, 'a.txt', withLine(LINES, 20, 'user').join(''));
  const before = treeAt(lab.project);
  const applied = await lab.apply(made);
  expect(read(lab, 'a.txt')).toBe(withLine(withLine(LINES, 2, 'agent'), 20, 'user').join(''));
  await lab.undo(applied);
  expect(treeAt(lab.project)).toEqual(before);
  write(lab.project, 'a.txt', withLine(LINES, 2, 'user').join(''));
  expect(refusal(await lab.plan(made))).toEqual(['a.txt: the same lines were changed in the checkout']);
});

const OBSTACLES: readonly [string, Files, (project: string) => void, (root: string) => void, string][] = [
  [
    'a file that the user deleted',
    { 'a.txt': 'a\n' },
    (project) => rmSync(path.join(project, 'a.txt')),
    (root) => write(root, 'a.txt', 'agent\n'),
    'a.txt: it does not exist in the checkout',
  ],
  [
    'a file that the user has made, too',
    { 'a.txt': 'a\n' },
    (project) => write(project, 'new.txt', 'user\n'),
    (root) => write(root, 'new.txt', 'agent\n'),
    'new.txt: it exists in the checkout with other content',
  ],
  [
    'a file that the user edited and the agent deleted',
    { 'a.txt': 'a\n' },
    (project) => write(project, 'a.txt', 'user\n'),
    (root) => rmSync(path.join(root, 'a.txt')),
    'a.txt: it was changed in the checkout, and is to be deleted',
  ],
  [
    'a binary file that both changed',
    { 'a.bin': Buffer.from('a\0b') },
    (project) => write(project, 'a.bin', Buffer.from('a\0user')),
    (root) => write(root, 'a.bin', Buffer.from('a\0agent')),
    'a.bin: it is binary and was changed in the checkout, too',
  ],
  [
    'a link that leads out of the repository in place of a folder',
    { 'a.txt': 'a\n' },
    (project) => symlinkSync('..', path.join(project, 'dir')),
    (root) => write(root, 'dir/new.txt', 'agent\n'),
    'dir/new.txt: dir is in the way: expected a folder, found a file or a link',
  ],
  [
    "a repository of the user's in place of a folder",
    { 'a.txt': 'a\n' },
    (project) => execFileSync('git', ['init', '--quiet', path.join(project, 'lib')]),
    (root) => write(root, 'lib/new.txt', 'agent\n'),
    'lib/new.txt: lib is a repository of its own',
  ],
  [
    'a folder with a file of the user in place of a new file',
    { 'a.txt': 'a\n' },
    (project) => write(project, 'thing/notes.txt', 'user\n'),
    (root) => write(root, 'thing', 'agent\n'),
    'thing: a folder is in the way, which has thing/notes.txt',
  ],
];

test.each(OBSTACLES)('%s: refused by name, nothing is written', async (_what, files, user, agent, expected) => {
  const lab = await open(files);
  const made = await change(lab, (root) => {
    agent(root);
    write(root, 'beside.txt', 'beside\n');
  });
  user(lab.project);
  const before = treeAt(lab.project);
  expect(refusal(await lab.plan(made))).toEqual([expected]);
  expect(treeAt(lab.project)).toEqual(before);
});

test('a file that the agent deleted and wrote again has its old bytes after an undo', async () => {
  const lab = await open({ 'a.txt': { mode: 0o755, content: 'old\r\nbytes\n' } });
  const before = treeAt(lab.project);
  const made = await change(lab, (root) => {
    rmSync(path.join(root, 'a.txt'));
    write(root, 'a.txt', 'new\n');
  });
  const applied = await lab.apply(made);
  expect(read(lab, 'a.txt')).toBe('new\n');
  await lab.undo(applied);
  expect(treeAt(lab.project)).toEqual(before);
});

test('a file that the user keeps private stays private', async () => {
  const lab = await open({ 'secret.txt': 'a\n' });
  execFileSync('chmod', ['600', path.join(lab.project, 'secret.txt')]);
  await lab.apply(await change(lab, (root) => write(root, 'secret.txt', 'b\n')));
  expect(treeAt(lab.project)['secret.txt']).toMatch(/^600 /);
});

test('a CRLF that was committed before an attribute said otherwise does not make a file count as changed', async () => {
  const lab = await open({ 'a.txt': 'one\r\ntwo\r\n' });
  await writeFiles(lab.project, { '.gitattributes': '*.txt text\n' });
  await gitIn(lab.project, 'add', '.gitattributes');
  await gitIn(lab.project, 'commit', '--quiet', '-m', 'attributes');
  const made = await change(lab, (root) => write(root, 'a.txt', 'one\nagent\n'));
  await lab.apply(made);
  expect(read(lab, 'a.txt')).toBe('one\nagent\n');
});

test('a pointer of git-lfs lands as git would check it out, and the user’s file names may be any bytes', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n';
  const lab = await open({ '.gitattributes': '*.big filter=lfs -text\n', 'x.big': pointer });
  const made = await change(lab, (root) => {
    write(root, 'x.big', pointer.replace('size 3', 'size 4'));
    for (const name of ['\xff.txt', '\xfe.txt', ' a', '-b', 'tab\t', 'q"q']) writeFileSync(at(root, name), name);
  });
  const before = treeAt(lab.project);
  const applied = await lab.apply(made);
  expect(read(lab, 'x.big')).toContain('size 4');
  expect(Object.keys(treeAt(lab.project))).toEqual(
    expect.arrayContaining(['\xff.txt', '\xfe.txt', ' a', '-b', 'tab\t', 'q"q']),
  );
  await lab.undo(applied);
  expect(treeAt(lab.project)).toEqual(before);
});
