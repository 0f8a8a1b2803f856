/**
 * The steps of a task, in order. Temporal retries each step; the code of the steps is in activities/. This file reads
 * no clock, no file and no table.
 */
import { CancellationScope } from '@temporalio/workflow';
import { commandsOf } from './commands.ts';
import { closeTask } from './close.ts';
import { resultOrThrow } from './result-or-throw.ts';
import type { ExecutionPath, TaskEnd, TaskInput, TaskResult } from '../contract/task.ts';
import { endOf } from './end.ts';
import { makeLiveTask } from './live.ts';
import { steps } from './steps.ts';
import { dispatchTurn } from './dispatch-turn.ts';

export async function task(input: TaskInput): Promise<TaskResult> {
  const { taskId } = input;
  const commands = commandsOf(input);
  const run = steps(input.host, commands);
  // Defines the message handlers, which must exist before the first await.
  const live = makeLiveTask(taskId, run, commands);
  let end: TaskEnd = { state: 'completed' };
  let partial = true;
  try {
    await live.cancellable(async () => {
      live.enter('open session', 'queued');
      const place = await run.openSession({ taskId });
      if (place.kind === 'closed') return;
      const refusal = place.hasProgram ? undefined : refusalOf(place);
      if (refusal) {
        end = refusal;
        return;
      }
      live.enter('create worktree', 'queued');
      await run.createWorktree({ taskId });
      const turn = await dispatchTurn({ taskId, run, live, commands, agent: place.agent ?? 'the agent' });
      if (turn.kind === 'failed') end = { state: 'failed', code: turn.code, message: turn.message };
      partial = turn.kind === 'failed';
    });
  } catch (error) {
    end = endOf(error, live.cancelReason());
  }
  // The closing steps also run after a cancel: they store what the agent wrote and remove the worktree.
  const result = await CancellationScope.nonCancellable(() =>
    closeTask({ taskId, run, live, end, partial, truthfulEnd: commands.truthfulEnd }),
  );
  await live.drained();
  return commands.truthfulEnd ? resultOrThrow(result) : result;
}

/**
 * Returns the refusal of an execution path that has no program. It is for a run whose session an older worker opened:
 * its history continues with the closing steps. In newer runs the step open session itself refuses the path.
 */
function refusalOf(place: { path: ExecutionPath; agent?: string; agentWithheld?: true }): TaskEnd | undefined {
  const agent = place.agentWithheld ? "The task's agent" : `Agent "${place.agent ?? 'none'}"`;
  switch (place.path) {
    case 'acp':
      return undefined;
    case 'pty':
      return notYet(`${agent} runs in a terminal`);
    case 'native':
      return notYet(
        place.agent === undefined && !place.agentWithheld
          ? 'The task names no agent, so it takes the native path'
          : `${agent} is not listed in available_agents, so the task takes the native path`,
      );
  }
}

function notYet(why: string): TaskEnd {
  return {
    state: 'failed',
    code: 'not_supported_yet',
    message: `${why}, which is not supported yet. Name an agent that speaks ACP; \`longhaul agents\` lists them.`,
  };
}
