/** The worker process: chooses what its steps work with. `worker/` runs it. */
import { launchAcp } from './agents/launch/acp.ts';
import { makeAgentRegistry } from './agents/launch/registry.ts';
import { runWorkerProcess } from './worker/run.ts';
import { makeWorktrees } from './worktrees/worktrees.ts';

await runWorkerProcess({
  agents: (_settings) => makeAgentRegistry({ acp: launchAcp }),
  worktrees: makeWorktrees,
});
