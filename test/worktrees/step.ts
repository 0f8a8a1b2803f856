/** One step in a process of its own, to be killed in the middle: `node step.ts REQUEST_JSON`. Says `begun` before and `done` after. */
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import type { StepRequest } from './lab.ts';

const request = JSON.parse(process.argv[2] ?? '') as StepRequest;
const { step, locksDir, root, projectPath, worktreePath, base, ref } = request;
const worktrees = makeWorktrees({ locksDir, root });
const place = { projectPath, worktreePath };

process.stdout.write('begun\n');
if (step === 'create') await worktrees.create(place);
if (step === 'collect') await worktrees.collect({ ...place, base, ref, message: 'Do it' });
if (step === 'reset') await worktrees.reset({ worktreePath, base });
if (step === 'remove') await worktrees.remove(place);
process.stdout.write('done\n');
