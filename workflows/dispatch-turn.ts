/** Dispatches the turn, and dispatches it again after each wait for a provider's usage limit or for an answer. */
import { condition, sleep } from '@temporalio/workflow';
import type { Commands } from './commands.ts';
import type { TaskId } from '../contract/ids.ts';
import type { DispatchResult, TurnSoFar } from '../contract/steps.ts';
import type { LiveTask } from './live.ts';
import { shortName, type TaskSteps } from './steps.ts';

export interface TurnToDispatch {
  readonly taskId: TaskId;
  readonly agent: string;
  readonly run: TaskSteps;
  readonly live: LiveTask;
  readonly commands: Commands;
}

type TurnResult = Exclude<DispatchResult, { kind: 'waiting' | 'hibernated' }>;

/**
 * Dispatches the turn until it has ended, and returns the result of the last dispatch. The dispatch step limits the
 * number of waits. A cancel ends a wait at once, because the wait is in the cancellable scope.
 */
export async function dispatchTurn({ taskId, agent, run, live, commands }: TurnToDispatch): Promise<TurnResult> {
  let soFar: TurnSoFar | undefined = commands.limitWaits ? { waits: 0, attempt: 0 } : undefined;
  const mayHibernate = commands.hibernates ? ({ mayHibernate: true } as const) : {};
  for (;;) {
    live.enter('dispatch agent', 'starting');
    const turn: DispatchResult = await run.dispatchAgent({ taskId, ...(soFar && { soFar }), ...mayHibernate }, agent);
    if (turn.kind !== 'waiting' && turn.kind !== 'hibernated') return turn;
    soFar = { waits: (soFar?.waits ?? 0) + 1, attempt: turn.attempt };
    if (turn.kind === 'waiting') await untilLifted(live, turn, agent);
    else await untilAnswered(live, turn);
    await live.enterSlotWait(turn.attempt);
  }
}

async function untilLifted(
  live: LiveTask,
  { attempt, until }: Extract<DispatchResult, { kind: 'waiting' }>,
  agent: string,
): Promise<void> {
  await live.enterLimitWait(attempt, until);
  await sleep(msUntil(until), {
    summary: `${shortName(agent)} has reached its provider's limit: continues at ${until}`,
  });
}

/**
 * Waits until a user has answered the agent's permission request, at most until `until`. Without `until` the wait has
 * no timer and no limit.
 */
async function untilAnswered(
  live: LiveTask,
  { attempt, until, question }: Extract<DispatchResult, { kind: 'hibernated' }>,
): Promise<void> {
  const answered = live.answerTo(attempt);
  await live.enterAnswerWait(attempt, question);
  if (until === undefined) await condition(answered);
  else await condition(answered, msUntil(until));
}

/**
 * Returns the milliseconds until `time`. In a workflow `Date.now()` is the workflow's time, which is the same in a
 * replay.
 */
const msUntil = (time: string): number => Math.max(1, Date.parse(time) - Date.now());
