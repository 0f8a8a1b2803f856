// Runs the build's worker.ts with other agents and worktrees. Workflow, steps, rows, frames and the fence are those of
// the build.
import { makeEngineAgents } from './agents.js';
import { fromBuild } from './from-build.js';
import { makeEngineWorktrees } from './worktrees.js';

const { readSettings } = await fromBuild('services/settings.js');
const { launchAcp } = await fromBuild('agents/launch/acp.js');
const { makeAgentRegistry } = await fromBuild('agents/launch/registry.js');
const { acpDriver } = await fromBuild('agents/acp/driver.js');
const { makeWorktrees } = await fromBuild('worktrees/worktrees.js');
const { runWorkerProcess } = await fromBuild('worker/run.js');

await runWorkerProcess(() => ({
  env: process.env,
  settings: readSettings(process.env),
  agents: makeAgentRegistry({ acp: launchAcp }, makeEngineAgents(acpDriver)),
  makeWorktrees: (options) => makeEngineWorktrees(makeWorktrees(options)),
}));
