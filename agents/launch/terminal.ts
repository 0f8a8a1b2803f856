/**
 * The launcher of the path `pty`: it starts the terminal adapter, which runs a command-line agent in a pseudo-terminal
 * and speaks ACP for it.
 */
import { join } from 'node:path';
import { loaderArguments, ownModulePath } from '../../processes/own-module.ts';
import { type AgentProfiles, CATALOG_ONLY, profileIn } from '../profiles/profiles.ts';
import type { TerminalLaunch } from '../terminal/launch.ts';
import { terminalProfile } from '../terminal/profiles/known.ts';
import { installedProgram } from './installed-program.ts';
import type { AgentLaunch, LaunchRequest } from './launch.ts';

const MAIN = ownModulePath('agents/terminal/main');

/** Returns the folder of terminal recordings that no step has stored yet. It contains one folder for each task. */
export const recordingsFolder = (home: string): string => join(home, 'recordings');

/**
 * Makes the launch. An agent without a profile is started by its install_path, with the prompt as its only argument.
 */
export function launchInTerminal({ agent, env }: LaunchRequest, profiles: AgentProfiles = CATALOG_ONLY): AgentLaunch {
  if (agent === undefined) throw new TypeError('the path pty has an agent');
  const profile = profileIn(profiles, agent.name);
  const { name, base, label, models, envKeys, env: variables, loginHint, terminal: derived } = profile;
  const terminal = terminalProfile(derived?.profile ?? name);
  const { installHint } = terminal;
  const file = installedProgram({ agent, usual: derived?.command ?? terminal.command, installHint, env });
  const home = env['LONGHAUL_HOME'];
  const launch: TerminalLaunch = {
    agent: name,
    file,
    ...(derived && { profile: derived.profile, args: derived.args }),
    ...(models && { models }),
    ...(home && { recordings: recordingsFolder(home) }),
  };
  const hint = loginHint ?? terminal.loginHint;
  return {
    name,
    ...(base !== undefined && { base }),
    ...(label !== undefined && { label }),
    program: file,
    command: process.execPath,
    args: [...loaderArguments(MAIN), MAIN, JSON.stringify(launch)],
    envKeys: [...envKeys, ...(terminal.envKeys ?? [])],
    env: variables,
    offersFileSystem: false,
    usageOf: 'turn',
    ...(installHint !== undefined && { installHint }),
    ...(hint !== undefined && { loginHint: hint }),
  };
}
