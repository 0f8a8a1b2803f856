/**
 * Ends a turn: completed, failed, waiting for a usage limit, hibernated, or with an error that makes Temporal retry the
 * step. The outcome is stored in the turn's last transaction.
 */
import type { TurnEnd } from '../agents/driver.ts';
import { shorten } from '../contract/cut-text.ts';
import { ERRORS, LonghaulError } from '../contract/errors.ts';
import type { DispatchResult } from '../contract/steps.ts';
import { failuresBefore, recordAttemptFailure, recordOutcome, tokensReportedIn } from '../store/attempts.ts';
import { timeIn } from '../store/attempt-outcome.ts';
import { pendingPermissions } from '../store/permissions.ts';
import { isConnectionLoss } from '../store/sql.ts';
import { keepMessage } from './keep-message.ts';
import { limitWaitEnd } from './limit-wait.ts';
import { pauseBeforeRetry, turnFailure, UNCOUNTED_CODES } from './retry-budget.ts';
import { retryAfterPause } from './step.ts';
import { recordedMessage, type TurnContext } from './turn-context.ts';

/** The maximum length of the question that the Web UI shows. The row has the whole question. */
const MAX_QUESTION_CHARS = 200;

type FailedEnd = Extract<TurnEnd, { kind: 'failed' }>;
type FinalEnd = Exclude<TurnEnd, { kind: 'stopped' }>;

/** Converts the end of the turn, as the agent reported it, to the result of the step, and stores that outcome. */
export async function endTurn(turn: TurnContext, end: FinalEnd): Promise<DispatchResult> {
  if (end.kind === 'completed') return finish(turn, end);
  const until = limitEnd(turn, end);
  if (until) return waitForLimit(turn, end, until);
  if (ERRORS[end.code].retryable) throw new LonghaulError(end.code, end.message);
  return finish(turn, end);
}

/**
 * Throws the failure if a retry may fix it and attempts are left, so that Temporal retries the step. Otherwise stores
 * the failure as the end of the turn.
 */
export async function failTurn(turn: TurnContext, error: unknown): Promise<DispatchResult> {
  const { deps, task, stream, progress } = turn;
  // The database connection was lost: the turn has not failed, so Temporal retries the step.
  if (isConnectionLoss(error)) throw error;
  const failure = turnFailure(error);
  const { code } = failure;
  if (code === 'superseded') throw failure;
  const lost = stream.lost.aborted;
  const of = { taskId: task.id, attempt: progress.attempt };
  const before = await failuresBefore(deps.sql, { ...of, uncounted: UNCOUNTED_CODES });
  const pauseMs = pauseBeforeRetry(code, before);
  if (pauseMs !== undefined) {
    if (!lost) await stream.flush();
    await recordAttemptFailure(deps.sql, { ...of, code });
    throw retryAfterPause(pauseMs, failure);
  }
  const message =
    before.count === 0 ? failure.message : `${before.count + 1} attempts failed. The last: ${failure.message}`;
  if (!lost) return finish(turn, { kind: 'failed', code, message });
  // The turn has lost the right to write to the log, so only the outcome is recorded. The finish step finishes the
  // message.
  const outcome: DispatchResult = { kind: 'failed', code, message, attempt: progress.attempt };
  await recordOutcome(deps.sql, { ...of, outcome });
  return outcome;
}

/**
 * Returns the time at which the task continues after a usage limit. Undefined: the task does not wait for the limit.
 */
function limitEnd({ taken, mayWait }: TurnContext, { resetsAt }: FailedEnd): Date | undefined {
  const waits = taken.earlier.filter(({ outcome }) => outcome?.kind === 'waiting').length;
  return resetsAt && mayWait ? limitWaitEnd({ resetsAt, now: new Date(), waits }) : undefined;
}

/**
 * Stores that the turn waits for a limit. The message stays open and the worktree unchanged, and the next attempt
 * continues from there.
 */
async function waitForLimit(turn: TurnContext, { message }: FailedEnd, until: Date): Promise<DispatchResult> {
  const { task, stream, progress } = turn;
  const outcome: DispatchResult = { kind: 'waiting', until: until.toISOString(), attempt: progress.attempt };
  const warning = `${message} The task waits and continues by itself at ${outcome.until}.`;
  progress.recorder?.closeDangling();
  await stream.commit([{ type: 'warning', message: warning }], (tx) =>
    recordOutcome(tx, { taskId: task.id, attempt: progress.attempt, outcome }),
  );
  return outcome;
}

/**
 * Stores that the turn hibernates, and the agent's question. The message stays open and the worktree unchanged, and the
 * next attempt continues from there.
 */
export async function hibernate(turn: TurnContext): Promise<DispatchResult> {
  const { deps, task, stream, progress } = turn;
  const waiting = await pendingPermissions(deps.sql, task.id);
  const [oldest] = waiting;
  const [until] = waiting.flatMap(({ expires_at: at }) => timeIn(at) ?? []).toSorted();
  const outcome: DispatchResult = {
    kind: 'hibernated',
    attempt: progress.attempt,
    ...(until && { until }),
    ...(oldest?.title && deps.temporalContent === 'full' && { question: shorten(oldest.title, MAX_QUESTION_CHARS) }),
  };
  await stream.commit([], (tx) => recordOutcome(tx, { taskId: task.id, attempt: progress.attempt, outcome }));
  deps.log.info({ task_id: task.id, attempt: progress.attempt }, 'the task hibernates until a person answers');
  return outcome;
}

async function finish(turn: TurnContext, end: FinalEnd): Promise<DispatchResult> {
  const { task, taken, stream, progress } = turn;
  const { recorder } = progress;
  if (end.kind === 'completed' && end.usage) recorder?.record({ kind: 'usage', usage: end.usage });
  recorder?.closeDangling();
  const outcome: DispatchResult =
    end.kind === 'completed'
      ? { kind: 'completed', attempt: progress.attempt }
      : { kind: 'failed', code: end.code, message: end.message, attempt: progress.attempt };
  const status = end.kind === 'completed' ? 'complete' : 'failed';
  const of = recordedMessage(task);
  const tokensReported = recorder?.tokens;
  const message = {
    sessionId: taken.sessionId,
    messageId: of.message_id,
    status,
    recorder,
    tokensUsed: await tokensOfTurn(turn, tokensReported),
  } as const;
  await stream.commit([{ type: 'message_complete', ...of, status }], async (tx) => {
    await keepMessage(tx, message);
    await recordOutcome(tx, { taskId: task.id, attempt: progress.attempt, outcome, tokensReported });
  });
  return outcome;
}

/**
 * Returns the tokens of this turn. If the agent reports a total of its session, the total of the earlier turns is
 * subtracted. If the reported number is smaller than that earlier total, the reported number counts as the tokens of
 * this turn alone.
 */
async function tokensOfTurn(
  { deps, task, progress }: TurnContext,
  reported: number | undefined,
): Promise<number | undefined> {
  const { agentSessionId, launch } = progress;
  if (reported === undefined || agentSessionId === undefined || launch?.usageOf !== 'session') return reported;
  const before = await tokensReportedIn(deps.sql, { agentSessionId, taskId: task.id });
  return reported >= before ? reported - before : reported;
}
