/**
 * The agents that a worker can run: one launcher for each execution path, and the driver. worker.ts makes the registry
 * and passes it to the steps; tests and benches pass another registry. Only the registry refuses a path without a
 * launcher.
 */
import type { ExecutionPath } from '../../contract/task.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { acpDriver } from '../acp/driver.ts';
import type { AgentDriver } from '../driver.ts';
import type { AgentLaunch, Launcher, LaunchRequest } from './launch.ts';

export type Launchers = Readonly<Partial<Record<ExecutionPath, Launcher>>>;

export interface AgentRegistry extends AgentDriver {
  /** Throws `not_supported_yet` if the path has no launcher. `named` is the agent that the task names. */
  requirePath(path: ExecutionPath, named: string | undefined): void;
  /**
   * Returns the launch of an agent. Throws `not_supported_yet` if the path has no launcher, or the error of the
   * launcher.
   */
  launch(request: LaunchRequest): AgentLaunch;
}

export function makeAgentRegistry(launchers: Launchers, driver: AgentDriver = acpDriver): AgentRegistry {
  const launcherOf = (path: ExecutionPath, named: string | undefined): Launcher => {
    const launcher = launchers[path];
    if (launcher) return launcher;
    const advice = 'Name an agent that supports ACP; `longhaul agents` lists them.';
    throw new LonghaulError('not_supported_yet', `${reasonOf(path, named)}, which is not supported yet. ${advice}`);
  };
  return {
    requirePath: (path, named) => void launcherOf(path, named),
    launch: (request) => launcherOf(request.path, request.agent?.name)(request),
    open: (options) => driver.open(options),
  };
}

function reasonOf(path: ExecutionPath, named: string | undefined): string {
  switch (path) {
    case 'acp':
      return `Agent "${named}" runs as a program that speaks ACP`;
    case 'pty':
      return `Agent "${named}" runs in a terminal`;
    case 'native':
      return named === undefined
        ? 'The task names no agent, so it takes the native path'
        : `Agent "${named}" is not listed in available_agents, so the task takes the native path`;
  }
}
