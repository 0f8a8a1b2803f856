/** The user's git takes objects that no ref names, also young ones, while changes are collected. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { gitIn } from '../lab/repositories.ts';
import { type AgentTree, type Lab, openLab } from './lab.ts';

const realGit = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();

async function script(file: string, ...lines: string[]): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, ['#!/bin/sh', ...lines, `exec ${realGit} "$@"`, ''].join('\n'));
  await chmod(file, 0o755);
}

/** Every git of ours runs these lines of shell first. */
async function beforeOurGit({ root }: Lab, ...lines: string[]): Promise<void> {
  const { PATH = '' } = process.env;
  const folder = path.join(root, 'bin');
  process.env['PATH'] = `${folder}:${PATH}`;
  onTestFinished(() => {
    process.env['PATH'] = PATH;
  });
  await script(path.join(folder, 'git'), ...lines);
}

interface Theft {
  /** The git of ours that it goes with: as the ref is written, or as the commit is looked at. */
  readonly at: 'update-ref' | 'diff-tree';
  readonly kind: string;
  readonly times: number;
}

/** Shell: objects of this kind that our ref alone names are gone, the first `times` times. */
const stealing = ({ root, mirror }: Lab, base: string, { at, kind, times }: Theft): string[] => [
  `case " $* " in *" ${at} "*)`,
  `  echo >> ${root}/thefts`,
  `  if [ $(wc -l < ${root}/thefts) -le ${times} ]; then`,
  `    ${at === 'update-ref' ? `${realGit} "$@"` : ':'}`,
  `    cd ${mirror}`,
  `    for id in $(${realGit} rev-list --objects --no-object-names refs/longhaul/tasks/task-1 ^${base}); do`,
  `      [ $(${realGit} cat-file -t $id) = ${kind} ] && echo objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)`,
  `    done > ${root}/doomed`,
  `    rm $(cat ${root}/doomed)`,
  `    ${at === 'update-ref' ? 'exit 0' : ':'}`,
  `  fi;;`,
  `esac`,
];

async function expectWhole({ repository, mirror }: Lab): Promise<void> {
  for (const folder of [mirror, repository.path]) {
    await gitIn(folder, 'fsck', '--connectivity-only');
    await gitIn(folder, 'gc', '--quiet', '--prune=now');
  }
}

const works: [string, (tree: AgentTree) => Promise<unknown>][] = [
  ['new', () => Promise.resolve()],
  ['staged', (tree) => gitIn(tree.worktreePath, 'add', '--all')],
  [
    'committed',
    async (tree) => {
      await gitIn(tree.worktreePath, 'add', '--all');
      await gitIn(tree.worktreePath, 'commit', '--quiet', '--message', 'By the agent');
    },
  ],
];
const thefts = works.flatMap(([state, work]) =>
  (['update-ref', 'diff-tree'] as const).flatMap((at) =>
    ['commit', 'tree', 'blob'].map((kind) => ({ state, work, at, kind })),
  ),
);

test.for(thefts)(
  'a gc removes the $kind of $state files at $at: everything is stored completely',
  async ({ work, at, kind }) => {
    const lab = await openLab();
    const tree = await lab.create();
    await tree.write({
      'deep/er/new.txt': 'new\n',
      'src/greet.js': 'changed\n',
      empty: '',
      'image.bin': Buffer.from([0]),
    });
    await work(tree);
    await beforeOurGit(lab, ...stealing(lab, tree.base, { at, kind, times: 2 }));
    const { commit, files } = await tree.change();
    expect(files.map((file) => file.path)).toEqual(['deep/er/new.txt', 'empty', 'image.bin', 'src/greet.js']);
    expect(await lab.inMirror('rev-parse', tree.ref)).toBe(commit);
    await expectWhole(lab);
  },
);

test('objects that are removed again and again fail the step for a retry, and leave no ref', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  await beforeOurGit(lab, ...stealing(lab, tree.base, { at: 'diff-tree', kind: 'blob', times: 1_000 }));
  await expect(tree.collect()).rejects.toMatchObject({ code: 'git_failed' });
  expect(await lab.inMirror('for-each-ref', 'refs/longhaul')).toBe('');
  await expectWhole(lab);
});

test('an incomplete ref of an earlier run, killed before its check, is deleted when nothing can be stored', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  await beforeOurGit(lab, `case " $* " in *" add "*) echo 'fatal: told to fail' >&2; exit 128;; esac`);
  expect(await tree.collect()).toMatchObject({ kind: 'kept', reason: expect.stringContaining('told to fail') });
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

/** A gc that has listed what no ref names, and waits before it removes that. */
async function heldGc({ root, mirror }: Lab, ...args: string[]) {
  const at = (name: string): string => path.join(root, name);
  await script(
    path.join(root, 'exec', 'git'),
    'if [ "$1" = prune ]; then',
    `  ${realGit} "$@" -n | cut -d' ' -f1 > ${at('listing')}; mv ${at('listing')} ${at('listed')}`,
    `  while [ ! -f ${at('go')} ]; do sleep 0.02; done`,
    `  cd ${mirror}/objects`,
    `  for id in $(cat ${at('listed')}); do rm -f $(echo $id | cut -c1-2)/$(echo $id | cut -c3-); done`,
    '  exit 0',
    'fi',
  );
  const env = { PATH: process.env['PATH'], GIT_EXEC_PATH: path.join(root, 'exec'), HOME: '/nonexistent' };
  const gc = promisify(execFile)(realGit, ['gc', '--quiet', ...args], { cwd: mirror, env });
  await vi.waitFor(() => readFile(at('listed')), 20_000);
  return {
    finish: async () => {
      await writeFile(at('go'), '');
      await gc;
    },
  };
}

test('a gc that listed objects before the ref existed, and removes after it, is waited for', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  const [held, free] = ['held', 'free'].map((name) => path.join(lab.root, name)) as [string, string];
  await beforeOurGit(
    lab,
    `case " $* " in *" update-ref "*) touch ${held}; while [ ! -f ${free} ]; do sleep 0.02; done;; esac`,
  );
  let settled = false;
  const change = tree.change().finally(() => (settled = true));
  await vi.waitFor(() => readFile(held), 20_000);
  const gc = await heldGc(lab, '--prune=now');
  await writeFile(free, '');
  await sleep(500); // no event shows that the collection still waits
  expect(settled, 'before the gc has ended').toBe(false);
  await gc.finish();
  const { commit } = await change;
  expect(await lab.inMirror('rev-parse', tree.ref)).toBe(commit);
  await expectWhole(lab);
});

test('stopped while it waits for a gc, it leaves no ref that the gc could break', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  const { worktreePath, base, ref } = tree;
  await tree.write({ 'new.txt': 'new\n' });
  const gc = await heldGc(lab, '--prune=now');
  const stop = new AbortController();
  const request = { projectPath: lab.repository.path, worktreePath, base, ref, message: 'x', signal: stop.signal };
  const collected = lab.worktrees.collect(request);
  await vi.waitFor(async () => expect(await lab.inMirror('for-each-ref', ref)).not.toBe(''), 20_000);
  stop.abort(new Error('stopped'));
  await expect(collected).rejects.toThrow('stopped');
  expect(await lab.inMirror('for-each-ref', ref)).toBe('');
  await gc.finish();
  await expectWhole(lab);
});

test('a gc that prunes by configuration is waited for, too; a plain one, or a killed one, is not', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  const gc = await heldGc(lab);
  await tree.change();
  await lab.inMirror('config', 'gc.pruneExpire', 'now');
  let settled = false;
  const change = tree.change().finally(() => (settled = true));
  await sleep(500); // no event shows that the collection still waits
  expect(settled, 'before the gc has ended').toBe(false);
  await gc.finish();
  await change;
  expect(existsSync(path.join(lab.mirror, 'gc.pid'))).toBe(false);
  await writeFile(path.join(lab.mirror, 'gc.pid'), `${process.pid} ${hostname()}`);
  await tree.change();
});

test('20 changes beside a loop of gc --prune=now: all are stored completely', async () => {
  const lab = await openLab();
  const over = new AbortController();
  const user = (async () => {
    let rounds = 0;
    // One that meets a ref at the moment of its look may fail; it is the ones after that must not.
    for (; !over.signal.aborted; rounds += 1) {
      await gitIn(lab.repository.path, 'gc', '--quiet', '--prune=now').catch(() => undefined);
    }
    return rounds;
  })();
  const trees: AgentTree[] = [];
  try {
    for (let at = 0; at < 20; at += 1) {
      const tree = await lab.create(`task-${at}`);
      trees.push(tree);
      await tree.write(
        Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${at}/${n % 5}/${n}`, `${at} ${n}\n`])),
      );
      expect((await tree.change()).files).toHaveLength(30);
    }
  } finally {
    over.abort();
  }
  expect(await user).toBeGreaterThan(5);
  await expectWhole(lab);
  for (const tree of trees) {
    const { commit } = await tree.change();
    expect(await lab.inMirror('rev-parse', tree.ref)).toBe(commit);
  }
});
