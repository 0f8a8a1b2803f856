/** A home at work, in a process of its own: `node home.ts HOME PROJECT_PATH MS` makes and removes worktrees, four side by side. Says how many. */
import path from 'node:path';
import { makeWorktrees } from '../../worktrees/worktrees.ts';

const [home = '', projectPath = '', ms = '0'] = process.argv.slice(2);
const worktrees = makeWorktrees({ locksDir: path.join(home, 'locks'), root: path.join(home, 'worktrees') });
const end = performance.now() + Number(ms);
let rounds = 0;

async function work(loop: string): Promise<void> {
  for (let round = 0; performance.now() < end; round += 1) {
    const owner = `${loop}-${round}`;
    const place = { projectPath, worktreePath: path.join(home, 'worktrees', owner), owner };
    await worktrees.create(place);
    await worktrees.remove(place);
    rounds += 1;
  }
}

await Promise.all(['a', 'b', 'c', 'd'].map(work));
process.stdout.write(`${rounds}\n`);
