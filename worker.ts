/**
 * The main module of the worker process: it parses the settings and chooses the dependencies of the steps. `worker/`
 * runs the worker.
 */
import { launchAcp } from './agents/launch/acp.ts';
import { makeNativeLauncher } from './agents/launch/native.ts';
import { makeAgentRegistry } from './agents/launch/registry.ts';
import { launchInTerminal } from './agents/launch/terminal.ts';
import { openProfiles } from './agents/profiles/profiles.ts';
import { homePaths } from './services/home/home.ts';
import { readSettings, refuseInvalidDefaultModel } from './services/settings.ts';
import { runWorkerProcess } from './worker/run.ts';
import { makeWorktrees } from './worktrees/worktrees.ts';

await runWorkerProcess(() => {
  refuseInvalidDefaultModel(process.env);
  const settings = readSettings(process.env);
  const native = makeNativeLauncher({ sessionsFolder: homePaths(settings.home).nativeSessions });
  const profiles = openProfiles(homePaths(settings.home).agentSettings);
  const agents = makeAgentRegistry({
    acp: (request) => launchAcp(request, profiles),
    pty: (request) => launchInTerminal(request, profiles),
    native,
  });
  return { env: process.env, settings, agents, profiles, makeWorktrees };
});
