/** Returns the launch of a task's agent, according to the task's execution path. */
import type { AgentLaunch } from '../agents/launch/launch.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { StepDeps } from './step.ts';

export function launchFor(task: TurnTask, { agents, env }: StepDeps): AgentLaunch {
  const { path, agent, install_path: installPath, worktree_path: worktree } = task;
  if (path !== 'native') return agents.launch({ path, env, agent: { name: agent, installPath } });
  return agents.launch({ path, env, answersOnly: worktree === null, unlisted: agent || undefined });
}
