/**
 * Excludes text of prompts, agents and projects from Temporal (LONGHAUL_TEMPORAL_CONTENT=none). In a step's result and
 * in its failure a placeholder replaces the sentence. The sentence is stored in the database, and the finish step
 * writes it to the task's row.
 */
import { ApplicationFailure } from '@temporalio/common';
import { withhold } from '../store/withheld.ts';
import type { StepInput } from '../contract/steps.ts';
import { type AgentProgress, WITHHELD_PATTERN, withheldPlaceholder } from '../contract/task.ts';
import type { StepDeps } from './step.ts';

/**
 * Wraps a step so that its result and its failure contain placeholders instead of sentences. With the setting `full` it
 * returns the step unchanged.
 */
export function withholding<In extends StepInput, Out>(
  { sql, temporalContent }: Pick<StepDeps, 'sql' | 'temporalContent'>,
  step: string,
  run: (input: In) => Promise<Out>,
): (input: In) => Promise<Out> {
  if (temporalContent === 'full') return run;
  // If the database is unavailable the sentence is lost, but the task does not fail.
  const replace = async ({ taskId }: In, text: string, as = step): Promise<string> => {
    await withhold(sql, { taskId, step: as, text }).catch(() => undefined);
    return withheldPlaceholder(as);
  };
  return async (input) => {
    try {
      const result = await run(input);
      const sentence = sentenceOf(result);
      const kept = sentence === undefined ? result : { ...result, [sentence.key]: await replace(input, sentence.text) };
      const failure: unknown = typeof kept === 'object' && kept !== null ? Reflect.get(kept, 'failure') : undefined;
      const failureSentence = sentenceOf(failure);
      if (failureSentence === undefined) return kept;
      return {
        ...kept,
        failure: {
          ...(failure as object),
          [failureSentence.key]: await replace(input, failureSentence.text, `${step}Failure`),
        },
      };
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      const { type, nonRetryable, nextRetryDelay } = error;
      throw ApplicationFailure.create({
        message: await replace(input, error.message),
        ...(type && { type }),
        ...(nonRetryable && { nonRetryable }),
        ...(nextRetryDelay !== undefined && nextRetryDelay !== null && { nextRetryDelay }),
      });
    }
  };
}

/** Returns the sentence of a turn that failed, or of a worktree that is kept. */
function sentenceOf(result: unknown): { key: 'message' | 'reason'; text: string } | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  for (const key of ['message', 'reason'] as const) {
    const text: unknown = Reflect.get(result, key);
    if (typeof text === 'string') return { key, text };
  }
  return undefined;
}

/** Replaces the placeholders in the text by the sentences that the steps stored. The finish step calls it. */
export function restoreWithheld(text: string, left: unknown): string {
  return text.replaceAll(WITHHELD_PATTERN, (mark, step: string) => {
    const stored: unknown = typeof left === 'object' && left !== null ? Reflect.get(left, step) : undefined;
    return typeof stored === 'string' ? stored : `${mark}: the worker's log has this sentence`;
  });
}

/** Returns the progress of a turn without the agent's text. */
export function progressWithoutText({ tool: _tool, plan, ...progress }: AgentProgress): AgentProgress {
  return { ...progress, ...(plan && { plan: { done: plan.done, total: plan.total } }) };
}
