/** The path `pty`: a command-line agent, run in a pseudo-terminal by the terminal adapter, which speaks ACP for it. */
import { join } from 'node:path';
import { loaderArguments, moduleOfOurs } from '../../processes/own-module.ts';
import { profileOf } from '../profiles/catalog.ts';
import type { TerminalLaunch } from '../terminal/launch.ts';
import { terminalProfile } from '../terminal/profiles/known.ts';
import { installedProgram } from './installed-program.ts';
import type { AgentLaunch, LaunchRequest } from './launch.ts';

const MAIN = moduleOfOurs('agents/terminal/main');

/** Where the recordings of terminals wait until a step stores them, one folder a task. */
export const recordingsFolder = (home: string): string => join(home, 'recordings');

/** An agent without a profile is its install_path with the prompt as its one argument. */
export function launchInTerminal({ agent, env }: LaunchRequest): AgentLaunch {
  if (agent === undefined) throw new TypeError('the path pty has an agent');
  const { name, envKeys, env: variables, loginHint } = profileOf(agent.name);
  const terminal = terminalProfile(name);
  const { installHint } = terminal;
  const file = installedProgram({ agent, usual: terminal.command, installHint, env });
  const home = env['LONGHAUL_HOME'];
  const launch: TerminalLaunch = { agent: name, file, ...(home && { recordings: recordingsFolder(home) }) };
  const hint = loginHint ?? terminal.loginHint;
  return {
    name,
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
