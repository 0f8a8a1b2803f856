/** Builds the progress that the workflow receives about a running turn. */
import type { AgentProgress, Phase } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import type { TurnRecorder } from './recorder.ts';

const MAX_CHARS = 120;

export function progressOf(attempt: number, phase: Phase, recorder: TurnRecorder | undefined): AgentProgress {
  const plan = recorder?.view.plan;
  const current = plan?.find((entry) => entry.status === 'in_progress')?.content;
  return {
    attempt,
    phase,
    ...(recorder?.tool ? { tool: head(recorder.tool, MAX_CHARS) } : {}),
    ...(recorder ? { toolCalls: recorder.finishedToolCalls } : {}),
    ...(recorder?.tokens === undefined ? {} : { tokens: recorder.tokens }),
    ...(plan
      ? {
          plan: {
            done: plan.filter((entry) => entry.status === 'completed').length,
            total: plan.length,
            ...(current ? { current: head(current, MAX_CHARS) } : {}),
          },
        }
      : {}),
  };
}
