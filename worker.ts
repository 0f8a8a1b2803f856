/** The worker process: parses its settings and chooses what its steps work with. `worker/` runs it. */
import { launchAcp } from './agents/launch/acp.ts';
import { makeAgentRegistry } from './agents/launch/registry.ts';
import { launchInTerminal } from './agents/launch/terminal.ts';
import { readSettings } from './services/settings.ts';
import { runWorkerProcess } from './worker/run.ts';
import { makeWorktrees } from './worktrees/worktrees.ts';

await runWorkerProcess(() => ({
  env: process.env,
  settings: readSettings(process.env),
  agents: makeAgentRegistry({ acp: launchAcp, pty: launchInTerminal }),
  makeWorktrees,
}));
