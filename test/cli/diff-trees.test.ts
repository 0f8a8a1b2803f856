/**
 * Random trees: git applies the bytes that the real command prints, and the result is the stored commit, byte for byte.
 * Or the command refuses, prints nothing, and says why; git apply refuses the stored patch then, too.
 * `LONGHAUL_DIFF_TREES=500 npx vitest run test/cli/diff-trees.test.ts` tries 500 trees.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { gitIn } from '../lab/repositories.ts';
import { type ChangeLab, openChangeLab, treeIdOf } from './change-lab.ts';
import { twoTrees, writeTree } from './random-trees.ts';

const TREES = Number(process.env['LONGHAUL_DIFF_TREES'] ?? 6);

const REFUSAL =
  /^longhaul: git apply would refuse this change: .* Nothing was printed\. To take the change, run: longhaul fetch \w+ && git cherry-pick --no-commit/s;

let lab: ChangeLab;
beforeAll(async () => {
  lab = await openChangeLab();
});
afterAll(() => lab.close());

test(
  `for ${TREES} random trees, applying the printed patch gives the tree of the commit`,
  { timeout: TREES * 20_000 },
  async () => {
    const project = await lab.project({});
    const { path: folder } = project.repository;
    await gitIn(folder, 'config', 'apply.whitespace', 'fix');
    let changes = 0;
    const refused: TaskId[] = [];
    await fc.assert(
      fc.asyncProperty(twoTrees, async ({ before, after }) => {
        await writeTree(folder, before);
        await gitIn(folder, 'add', '--all', '--force');
        await gitIn(folder, 'commit', '--quiet', '--allow-empty', '--message', 'Before');
        const task = await project.change((worktree) => writeTree(worktree, after));
        if (!task) return;
        changes += 1;
        const { code, stderr } = await lab.take(folder, task.taskId);
        const wanted = await project.results('rev-parse', `${task.commit}^{tree}`);
        if (code === 0) {
          expect(stderr).toBe('');
        } else {
          const command = await lab.longhaul(folder, 'diff', task.taskId);
          expect({ code: command.code, printed: command.stdout.length }).toEqual({ code: 1, printed: 0 });
          expect(command.stderr).toMatch(REFUSAL);
          refused.push(task.taskId);
          // Not more is refused than git refuses.
          const patch = path.join(lab.root, 'refused.patch');
          await writeFile(patch, await storedPatch(task.taskId));
          await expect(gitIn(folder, 'apply', '--check', patch)).rejects.toThrow(/symbolic links|too long/);
          await project.fetchInto(folder);
          await gitIn(folder, 'cherry-pick', '--no-commit', task.commit);
        }
        expect(await treeIdOf(folder)).toBe(wanted);
      }),
      { numRuns: TREES, endOnFailure: true },
    );
    expect(changes).toBeGreaterThan(TREES / 3);
    expect(refused.length).toBeLessThan(TREES / 3);
    console.log(`${TREES} random trees: ${changes} changes, ${refused.length} refused`);
  },
);

async function storedPatch(taskId: TaskId): Promise<Buffer> {
  const [row] = await lab.database.sql<
    { patch: Buffer }[]
  >`SELECT patch FROM pending_changes WHERE task_id = ${taskId}`;
  return row?.patch ?? Buffer.alloc(0);
}
