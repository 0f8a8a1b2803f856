/**
 * The project, its mirror or a worktree is deleted, moved or corrupted before any step of a task: the step does its work or
 * fails with a sentence that names the damaged thing, and the next task works, once what only the user can repair is repaired.
 */
import { cp, mkdir, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { LonghaulError } from '../../contract/errors.ts';
import { type AgentTree, agentTree, type Lab, openLab } from './lab.ts';

type Damage = (place: string) => Promise<unknown>;

const empty = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const file = path.join(folder, name);
    if (!(await stat(file)).isFile()) continue;
    await rm(file); // it may be a hard link to the project's
    await writeFile(file, '');
  }
};
const at =
  (name: string, damage: Damage): Damage =>
  (place) =>
    damage(path.join(place, name));
const remove: Damage = (place) => rm(place, { recursive: true, force: true });
const move: Damage = (place) => rename(place, `${place}.moved`);
const asFile: Damage = async (place) => {
  await rm(place, { recursive: true });
  await writeFile(place, 'a file');
};
const garbage: Damage = async (place) => {
  await rm(place, { force: true });
  await writeFile(place, '[broken\n');
};

const DAMAGES: Readonly<Record<'project' | 'mirror' | 'worktree', Readonly<Record<string, Damage>>>> = {
  project: {
    'is removed': remove,
    'is moved': move,
    'is a file': asFile,
    'has no .git': at('.git', remove),
    'has an empty .git': at('.git', async (place) => {
      await remove(place);
      await mkdir(place);
    }),
    'has a broken config': at('.git/config', garbage),
    'has a broken HEAD': at('.git/HEAD', garbage),
    'has no refs': at('.git/refs', remove),
    'has no objects': at('.git/objects', remove),
    'has empty objects': at('.git/objects', empty),
  },
  mirror: {
    'is removed': remove,
    'is moved': move,
    'is a file': asFile,
    'has no HEAD': at('HEAD', remove),
    'has a broken HEAD': at('HEAD', garbage),
    'has a broken config': at('config', garbage),
    'has broken refs': at('packed-refs', garbage),
    'has no refs': at('refs', remove),
    'has no objects': at('objects', remove),
    'has empty objects': at('objects', empty),
    'has an empty state': at('longhaul.json', (place) => truncate(place)),
    'has no entries': at('worktrees', remove),
    'has empty entries': at('worktrees', empty),
  },
  worktree: {
    'is removed': remove,
    'is moved': move,
    'is a file': asFile,
    'has no .git': at('.git', remove),
    'has a file for .git': at('.git', asFile),
  },
};

const STEPS = ['create', 'create again', 'collect', 'remove', 'next turn'] as const;

interface End {
  readonly name: (typeof STEPS)[number];
  readonly end: string;
}

/** Runs the steps of a task and does the damage before one of them. Returns how each step ended from there on. */
async function run(lab: Lab, step: (typeof STEPS)[number], damage: () => Promise<unknown>): Promise<End[]> {
  const place = {
    projectPath: lab.repository.path,
    worktreePath: path.join(lab.root, 'home/worktrees/hit'),
    owner: 'hit',
  };
  let tree: AgentTree | undefined;
  let base: string | undefined;
  const work: Record<(typeof STEPS)[number], () => Promise<string>> = {
    create: async () => {
      const made = await lab.worktrees.create(place);
      tree = agentTree(lab.worktrees, place.projectPath, made);
      await tree.write({ 'work.txt': 'work\n' });
      return made.state;
    },
    'create again': async () => (await lab.worktrees.create(place)).state,
    collect: async () => {
      const collected = await lab.worktrees.collect({
        ...place,
        base: tree?.base ?? '',
        ref: 'refs/longhaul/tasks/hit',
        message: 'x',
      });
      if (collected.kind === 'changed') base = collected.commit;
      return collected.kind === 'kept' ? `kept: ${collected.reason}` : collected.kind;
    },
    remove: async () => String((await lab.worktrees.remove(place)).removed),
    'next turn': async () => {
      const made = await lab.worktrees.create({ ...place, owner: 'next', ...(base && { base }) });
      return made.state;
    },
  };
  const ends: End[] = [];
  let isDamaged = false;
  for (const name of STEPS) {
    if (name === step) {
      await damage();
      isDamaged = true;
    }
    try {
      const end = await work[name]();
      if (isDamaged) ends.push({ name, end });
    } catch (error) {
      if (!isDamaged) throw error;
      const { code, message } = error as LonghaulError;
      ends.push({ name, end: `${error instanceof LonghaulError ? code : 'unexpected'} ${message}` });
      if (name === 'create') return ends; // the task fails
    }
  }
  return ends;
}

/** How a step may end after the damage, by what is damaged. The sentences name the thing by its path. */
const EXPECTED: Readonly<Record<keyof typeof DAMAGES, Readonly<Record<(typeof STEPS)[number], RegExp>>>> = {
  project: {
    create: /^(created$|(project_missing|not_a_repository|git_failed) .*ROOT\/project)/,
    'create again': /^(found$|(project_missing|not_a_repository|git_failed) .*ROOT\/project)/,
    collect: /^changed$/,
    remove: /^true$/,
    'next turn': /^(created$|(project_missing|not_a_repository|git_failed) .*ROOT\/project)/,
  },
  mirror: {
    create: /^created$/,
    'create again': /^found$/,
    collect: /^changed$/,
    remove: /^true$/,
    // The result is gone with the mirror. The step then tries older results, and says so in a warning.
    'next turn': /^(created$|git_failed The repository in ROOT\/project has no commit)/,
  },
  worktree: {
    create: /^created$/,
    'create again': /^(created|found|worktree_replaced ROOT\/home\/worktrees\/hit .*)$/,
    collect:
      /^(changed|none|kept: ROOT\/home\/worktrees\/hit .*|git_failed The worktree ROOT\/home\/worktrees\/hit does not exist .*)$/,
    remove: /^true$/,
    'next turn': /^created$/,
  },
};

const cases = Object.entries(DAMAGES).flatMap(([object, damages]) =>
  Object.entries(damages).map(([what, damage]) => ({ object: object as keyof typeof DAMAGES, what, damage })),
);

test.each(cases)('the $object $what, before each step', async ({ object, damage }) => {
  for (const step of STEPS) {
    const lab = await openLab();
    const { path: project } = lab.repository;
    await (await lab.create('first')).remove(); // there is a mirror
    const copy = path.join(lab.root, 'copy');
    await cp(project, copy, { recursive: true, preserveTimestamps: true });
    const places = { project, mirror: lab.mirror, worktree: path.join(lab.root, 'home/worktrees/hit') };
    const isThere = object !== 'worktree' || !['create', 'next turn'].includes(step);
    for (const { name, end } of await run(lab, step, () => (isThere ? damage(places[object]) : Promise.resolve())))
      expect(end.replaceAll(lab.root, 'ROOT'), `${name} after damage before ${step}`).toMatch(EXPECTED[object][name]);
    if (object === 'project') {
      await rm(project, { recursive: true, force: true });
      await rename(copy, project);
    }
    await rm(places.worktree, { recursive: true, force: true });
    const tree = await lab.create('after');
    await tree.write({ 'new.txt': 'new\n' });
    expect((await tree.change()).files, step).toMatchObject([{ path: 'new.txt' }]);
    await tree.remove();
    await lab.inMirror('rev-list', '--objects', '--quiet', tree.ref);
  }
});
