/** The launcher of the path `acp`: it starts the agent's own program in the mode in which that program speaks ACP. */
import { type AgentProfiles, CATALOG_ONLY, profileIn } from '../profiles/profiles.ts';
import { installedProgram } from './installed-program.ts';
import type { AgentLaunch, LaunchRequest } from './launch.ts';

/** Makes the launch. An agent without a profile is started by its install_path, without arguments. */
export function launchAcp({ agent, env }: LaunchRequest, profiles: AgentProfiles = CATALOG_ONLY): AgentLaunch {
  if (agent === undefined) throw new TypeError('the path acp has an agent');
  const { acp, terminal: _unused, ...profile } = profileIn(profiles, agent.name);
  const { installHint } = acp ?? {};
  const command = installedProgram({ agent, usual: acp?.command, installHint, env });
  return {
    ...profile,
    command,
    args: acp?.args ?? [],
    offersFileSystem: acp?.offersFileSystem ?? true,
    ...(installHint !== undefined && { installHint }),
  };
}
