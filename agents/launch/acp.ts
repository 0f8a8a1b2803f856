/** The path `acp`: the agent's own program, started so that it speaks ACP. */
import { profileOf } from '../profiles/catalog.ts';
import { installedProgram } from './installed-program.ts';
import type { AgentLaunch, LaunchRequest } from './launch.ts';

/** An agent without a profile is its install_path, started without arguments. */
export function launchAcp({ agent, env }: LaunchRequest): AgentLaunch {
  if (agent === undefined) throw new TypeError('the path acp has an agent');
  const { acp, ...profile } = profileOf(agent.name);
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
