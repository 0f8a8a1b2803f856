/** Hostile git of agents through the whole pipeline, beside a user at work. `worktrees/hostile-git` does the same with the steps alone. */
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';
import { DEEDS, IDENTITY } from '../worktrees/hostile/deeds.ts';
import { repositoryBytes, workOnBoth } from '../worktrees/hostile/user.ts';

/** A handful of each kind: every seventh, from the first on. */
const CHOSEN = Object.entries(DEEDS).filter((_, index) => index % 7 === 0);

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
});
afterAll(() => lab.close());

test("tasks whose agents run hostile git complete with their results, and the project's .git is what the user's own commands made it", async () => {
  const { repository } = lab;
  const intro = `${IDENTITY}\nexport PROJECT='${repository.path}'\n`;
  await repository.write(Object.fromEntries(CHOSEN.map(([, script], at) => [`deeds/${at}.sh`, `${intro}${script}\n`])));
  await repository.commit('Deeds');
  for (const args of [
    ['config', 'pack.threads', '1'],
    ['branch', 'topic'],
    ['tag', 'v0'],
  ])
    await repository.git(...args);
  const checkouts = [repository.path, path.join(lab.home, 'twin')];
  await cp(repository.path, path.join(lab.home, 'twin'), { recursive: true, preserveTimestamps: true });
  const over = new AbortController();
  const user = (async () => {
    for (let round = 0; !over.signal.aborted || round < 9; round += 1) {
      await workOnBoth(checkouts, round);
      expect(await repositoryBytes(repository.path), `round ${round}`).toEqual(
        await repositoryBytes(checkouts[1] ?? ''),
      );
    }
  })();
  const tasks = await Promise.all(
    CHOSEN.map((_, at) => lab.submit({ input: `run sh deeds/${at}.sh. write result.txt with ${at}. say done.` })),
  );
  try {
    for (const [at, task] of tasks.entries()) {
      const name = CHOSEN[at]?.[0];
      expect(await lab.ended(task), name).toMatchObject({ state: 'completed', kept_worktree: null });
      expect(await lab.inChange(task, 'result.txt'), name).toBe(String(at));
    }
  } finally {
    over.abort();
  }
  await user;
  // The branches are those of the user.
  for (const task of tasks)
    expect((await lab.leftovers(task)).filter((one) => !one.startsWith('branches:'))).toEqual([]);
});
