/** One step in a process of its own, to be killed in the middle: `node step.ts REQUEST_JSON`. Says `begun` before and `done` after. */
import path from 'node:path';
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import type { StepRequest } from './lab.ts';

const request = JSON.parse(process.argv[2] ?? '') as StepRequest;
const { step, locksDir, root, projectPath, worktreePath, base, ref } = request;
const worktrees = makeWorktrees({ locksDir, root });
const place = { projectPath, worktreePath };

/** Worktrees are made and removed, four side by side. Says how many. */
async function rounds(ms: number): Promise<void> {
  const end = performance.now() + ms;
  let count = 0;
  const work = async (loop: string): Promise<void> => {
    for (let round = 0; performance.now() < end; round += 1) {
      const owner = `${loop}-${round}`;
      const place = { projectPath, worktreePath: path.join(root, owner), owner };
      await worktrees.create(place);
      await worktrees.remove(place);
      count += 1;
    }
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(work));
  process.stdout.write(`rounds: ${count}\n`);
}

process.stdout.write('begun\n');
if (step === 'create') await worktrees.create(place);
if (step === 'collect') await worktrees.collect({ ...place, base, ref, message: 'Do it' });
if (step === 'reset') await worktrees.reset({ worktreePath, base });
if (step === 'remove') await worktrees.remove(place);
if (step === 'rounds') await rounds(request.ms ?? 0);
process.stdout.write('done\n');
