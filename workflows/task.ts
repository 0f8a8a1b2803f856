/**
 * What happens to a task, in order. Each line is a step that Temporal retries; what a step does is in
 * activities/. Nothing here reads a clock, a file or a table.
 */
import { CancellationScope } from '@temporalio/workflow';
import { commandsOf } from './began.ts';
import { closeTask } from './close.ts';
import { concluded } from './conclude.ts';
import type { ExecutionPath, TaskEnd, TaskInput, TaskResult } from '../contract/task.ts';
import { endOf } from './end.ts';
import { makeLiveTask } from './live.ts';
import { steps } from './steps.ts';
import { dispatchTurn } from './dispatch-turn.ts';

export async function task(input: TaskInput): Promise<TaskResult> {
  const { taskId } = input;
  const commands = commandsOf(input);
  const run = steps(input.host, commands);
  const live = makeLiveTask(taskId, run, commands); // message handlers, before the first await
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
  // A stop still keeps what was written and frees the directory.
  const result = await CancellationScope.nonCancellable(() =>
    closeTask({ taskId, run, live, end, partial, truthfulEnd: commands.truthfulEnd }),
  );
  await live.drained();
  return commands.truthfulEnd ? concluded(result) : result;
}

/** Of a run whose session an older worker opened: its history continues with the closing steps. Now the step itself refuses. */
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
