/** One random change whose writer is killed at one call of the file system, and what the next run makes of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import type { Journal } from '../../changes/journal.ts';
import { pathOf } from '../../changes/journal.ts';
import { changeLab } from './lab.ts';
import { editAtRandom, randomProject } from './random-project.ts';
import { at, Dice, makeFolders, treeAt } from './tree.ts';

/**
 * `apply` and `undo`: the next run completes them. `taken back`: the next run finds a file that the user changed
 * meanwhile, and restores the others, and is killed there once, too.
 */
export const KINDS = ['apply', 'undo', 'taken back'] as const;
export type Kind = (typeof KINDS)[number];

/** Returns false if the agent left no change. */
export async function killTrip(seed: number, kind: Kind, root: string): Promise<boolean> {
  const dice = new Dice(seed);
  const { repository } = await randomProject(dice, path.join(root, 'project'));
  const lab = changeLab(root, repository.path);
  const change = await lab.work((worktree) => editAtRandom(dice, worktree));
  if (change === undefined) return false;
  const tree = (): Record<string, string> => treeAt(repository.path);
  const git = (): Record<string, string> => treeAt(path.join(repository.path, '.git'), '');
  const [untouched, gitBefore] = [tree(), git()];
  const killed = (half: 'write' | 'takeBack', journal: Journal): void => runKilled(dice, root, half, journal);
  const planned = await lab.plan(change);
  assert.equal(planned.kind, 'plan');
  const { journal } = planned;
  if (kind === 'taken back' && !journal.entries.some((entry) => isPlain(journal, entry))) return false;
  if (kind === 'apply') {
    killed('write', journal);
    assert.deepEqual(await lab.changes.write({ journal, tag: 'tag' }), {});
    const whole = tree();
    await lab.undo(journal);
    assert.deepEqual(tree(), untouched);
    await lab.apply(change, 'again');
    assert.deepEqual(whole, tree());
  } else if (kind === 'undo') {
    await lab.changes.write({ journal, tag: 'tag' });
    const undo = await lab.changes.planUndo({ projectPath: repository.path, actionId: 'u', applied: journal });
    assert.equal(undo.kind, 'plan');
    killed('write', undo.journal);
    assert.deepEqual(await lab.changes.write({ journal: undo.journal, tag: 'tag' }), {});
    assert.deepEqual(tree(), untouched);
  } else {
    killed('write', journal);
    const foreign = userChanges(dice, repository.path, journal);
    const { changed } = await lab.changes.write({ journal, tag: 'tag' });
    assert.ok(changed !== undefined);
    killed('takeBack', journal);
    const { left } = await lab.changes.takeBack({ journal, tag: 'tag' });
    assert.deepEqual(
      left.map((one) => one.toString('latin1')),
      [foreign],
    );
    const rest = (all: Record<string, string>): object =>
      Object.fromEntries(Object.entries(all).filter(([key]) => key !== foreign));
    assert.deepEqual(rest(tree()), rest(untouched));
  }
  assert.deepEqual(git(), gitBefore);
  return true;
}

function runKilled(dice: Dice, root: string, half: 'write' | 'takeBack', journal: Journal): void {
  const file = path.join(root, 'journal.json');
  writeFileSync(file, JSON.stringify(journal));
  const program = bundled(root);
  // Three to ten calls a path: some runs come to their end, which is a moment, too.
  const call = 1 + dice.below(6 * Math.max(1, journal.entries.length));
  const ran = spawnSync(process.execPath, [program, half, file, String(call)], { encoding: 'utf8' });
  assert.ok(ran.signal === 'SIGKILL' || ran.status === 0, ran.stderr);
}

/** Plain JavaScript: it starts in a tenth of the time that tsx needs. */
function bundled(root: string): string {
  const outfile = path.join(root, 'killed-writer.mjs');
  if (existsSync(outfile)) return outfile;
  const entryPoints = [path.join(import.meta.dirname, 'killed-writer.ts')];
  buildSync({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', banner: { js: REQUIRE } });
  return outfile;
}

/** Packages in the bundle that are not modules. */
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** The user writes one of the paths meanwhile. Returns its key. */
function userChanges(dice: Dice, root: string, journal: Journal): string {
  const key = pathOf(dice.pick(journal.entries.filter((entry) => isPlain(journal, entry)))).toString('latin1');
  makeFolders(root, key);
  rmSync(at(root, key), { recursive: true, force: true });
  writeFileSync(at(root, key), `the user's own ${dice.next()}\n`);
  return key;
}

/** No folder takes the place of the path, and the path no folder's. */
function isPlain({ entries }: Journal, entry: Journal['entries'][number]): boolean {
  const [key, keys] = [pathOf(entry).toString('latin1'), entries.map((one) => pathOf(one).toString('latin1'))];
  return keys.every((other) => !other.startsWith(`${key}/`) && !key.startsWith(`${other}/`));
}
