/** Dispatches the turn, and dispatches it again after each wait for a provider's usage limit. */
import { sleep } from '@temporalio/workflow';
import type { Commands } from './began.ts';
import type { TaskId } from '../contract/ids.ts';
import type { DispatchResult, TurnSoFar } from '../contract/steps.ts';
import type { LiveTask } from './live.ts';
import { short, type TaskSteps } from './steps.ts';

export interface TurnToDispatch {
  readonly taskId: TaskId;
  readonly agent: string;
  readonly run: TaskSteps;
  readonly live: LiveTask;
  readonly commands: Commands;
}

type TurnResult = Exclude<DispatchResult, { kind: 'waiting' }>;

/** The dispatch step limits the number of waits. A cancel ends a wait at once, because the timer is in the cancellable scope. */
export async function dispatchTurn({ taskId, agent, run, live, commands }: TurnToDispatch): Promise<TurnResult> {
  let soFar: TurnSoFar | undefined = commands.limitWaits ? { waits: 0, attempt: 0 } : undefined;
  for (;;) {
    live.enter('dispatch agent', 'starting');
    const turn: DispatchResult = await run.dispatchAgent({ taskId, ...(soFar && { soFar }) }, agent);
    if (turn.kind !== 'waiting') return turn;
    soFar = { waits: (soFar?.waits ?? 0) + 1, attempt: turn.attempt };
    await live.enterLimitWait(turn.attempt, turn.until);
    // In a workflow `Date.now()` is the workflow's time, which is the same in a replay.
    const ms = Math.max(1, Date.parse(turn.until) - Date.now());
    await sleep(ms, { summary: `${short(agent)} has reached its provider's limit: continues at ${turn.until}` });
    await live.enterSlotWait(turn.attempt);
  }
}
