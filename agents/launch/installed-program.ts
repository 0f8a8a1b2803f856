/** Finds the program of a listed agent on this host. */
import { LonghaulError } from '../../contract/errors.ts';
import { findCommand } from '../process/find-command.ts';
import type { ListedAgent } from './launch.ts';

/** What `installedProgram` needs to find the program of an agent. */
export interface InstalledProgram {
  readonly agent: ListedAgent;
  /** The command from the agent's profile. */
  readonly usual: string | undefined;
  readonly installHint: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Returns the absolute path of the program that the agent's install_path names. Without an install_path, the command of
 * the profile is looked up, and without such a command the agent's name. Throws `agent_not_installed`.
 */
export function installedProgram({ agent, usual, installHint, env }: InstalledProgram): string {
  const wanted = agent.installPath || usual || agent.name;
  const found = findCommand(wanted, env['PATH']);
  if (found !== undefined) return found;
  const hint = installHint ?? 'Install it, or correct install_path in available_agents.';
  const message = `The agent ${agent.name} is not installed: ${wanted} is not a program on this machine. ${hint}`;
  throw new LonghaulError('agent_not_installed', message);
}
