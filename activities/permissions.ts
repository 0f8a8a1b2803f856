/**
 * Answers an agent's permission requests: at once by the task's policy, or with the answer of a user. A request that waits
 * for a user is a row, which any program may answer. The row remains if this worker exits, and the next attempt finds it when
 * its agent sends the same request again.
 */
import type { PermissionAsk, PermissionDecision } from '../agents/driver.ts';
import { decide, policyFor } from '../agents/permission-policy.ts';
import type { FrameStream } from '../frames/stream.ts';
import { deliverAnswer, expirePermission, openPermission, type PermissionRow } from '../store/permissions.ts';
import type { TakenTurn } from '../store/attempts.ts';
import type { TurnTask } from '../store/turn-task.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { PermissionId } from '../contract/ids.ts';
import type { Phase } from '../contract/task.ts';
import { commandOf } from '../contract/tool-command.ts';
import type { PermissionOption } from '../contract/vocabulary.ts';
import type { TurnRecorder } from './recorder.ts';
import type { StepDeps } from './step.ts';

export interface Asking {
  readonly deps: Pick<StepDeps, 'sql' | 'answers'>;
  readonly task: TurnTask;
  readonly taken: Extract<TakenTurn, { kind: 'taken' }>;
  readonly stream: Pick<FrameStream, 'flush'>;
  readonly recorder: Pick<TurnRecorder, 'record'>;
  /** Aborted: the turn ends. The request remains as it is, for the next attempt or the closing steps. */
  readonly signal: AbortSignal;
  readonly enter: (phase: Phase) => void;
}

export function permissionAnswers(asking: Asking): (ask: PermissionAsk) => Promise<PermissionDecision> {
  let open = 0;
  return async (ask) => {
    const { task, recorder, enter } = asking;
    const policy = policyFor(task, ask);
    if (policy !== 'ask') {
      const decision = decide(policy, ask);
      // Some agents end their turn without a word about the refusal: then only this warning shows it.
      if (policy === 'deny' || decision.kind === 'cancelled') {
        recorder.record({ kind: 'warning', message: `${notAllowed(task)}: ${titleOf(ask)}` });
      }
      return decision;
    }
    open += 1;
    enter('waiting_permission');
    try {
      return await askPerson(asking, ask);
    } finally {
      open -= 1;
      if (open === 0 && !asking.signal.aborted) enter('working');
    }
  };
}

const notAllowed = ({ permission_policy: policy, mode_id: mode }: TurnTask): string =>
  policy === 'deny'
    ? `Not allowed, because the task's permission policy is "${policy}"`
    : `Not allowed, because the task's mode is ${mode ?? 'the default'} and the agent offers no way to allow once`;

const NO_ANSWER = 'Not allowed (no answer in time)';

async function askPerson(asking: Asking, ask: PermissionAsk): Promise<PermissionDecision> {
  const { deps, task, taken, stream, recorder, signal } = asking;
  await stream.flush(); // the log has the tool call before the request
  const fallback = decide(task.permission_default === 'allow' ? 'allow' : 'deny', ask);
  const opened = await openPermission(deps.sql, {
    taskId: task.id,
    sessionId: taken.sessionId,
    attempt: taken.attempt,
    token: taken.token,
    hash: ask.hash,
    kind: ask.toolCall.kind === 'switch_mode' ? 'plan' : 'tool',
    title: titleOf(ask),
    toolCall: ask.toolCall,
    options: shownOptions(ask),
    timeoutS: task.permission_timeout_s ?? undefined,
    defaultOption: fallback.kind === 'selected' ? fallback.optionId : undefined,
  });
  if (opened.kind === 'superseded')
    throw new LonghaulError('superseded', `task ${task.id}: a newer attempt has the turn`);
  const answer = await answerOf(asking, opened.id);
  if (signal.aborted || answer === undefined) return { kind: 'cancelled' };
  if (answer.chosen === null) {
    recorder.record({ kind: 'warning', message: `${NO_ANSWER}: ${titleOf(ask)}` });
    return { kind: 'cancelled' };
  }
  const delivered = await deliverAnswer(deps.sql, { id: opened.id, sessionId: taken.sessionId, token: taken.token });
  if (!delivered)
    throw new LonghaulError(
      'superseded',
      `task ${task.id}: a newer attempt has the turn or the answer to permission ${opened.id}`,
    );
  const chosen = ask.options.find((option) => option.option_id === answer.chosen);
  if (chosen === undefined) return { kind: 'cancelled' };
  if (chosen.kind.startsWith('reject')) {
    const because = answer.answered_by === 'timeout' ? NO_ANSWER : 'Not allowed (the answer was no)';
    recorder.record({ kind: 'warning', message: `${because}: ${titleOf(ask)}` });
  }
  return { kind: 'selected', optionId: chosen.option_id };
}

/** `undefined`: the request was cancelled. A request that expired has chosen nothing where no default option is offered. */
async function answerOf({ deps, signal }: Asking, id: PermissionId): Promise<PermissionRow | undefined> {
  let row = await deps.answers.settled(id, signal);
  if (row.state === 'pending') {
    const expired = await expirePermission(deps.sql, id);
    if (expired.kind === 'missing') return undefined;
    row = expired.permission; // the answer, if one came first
  }
  return row.state === 'answered' || row.state === 'expired' ? row : undefined;
}

/** Omits "always" if "once" is offered, because with some agents "always" affects later tasks (codex stores it in its home). */
function shownOptions({ options }: PermissionAsk): readonly PermissionOption[] {
  const once = options.some(({ kind }) => kind === 'allow_once');
  return once ? options.filter(({ kind }) => kind !== 'allow_always') : options;
}

/** Returns the title, with the full command if the call has one, because a title alone may omit the important part. */
function titleOf({ toolCall }: PermissionAsk): string {
  const { title } = toolCall;
  const command = commandOf(toolCall);
  return command !== undefined && !title.includes(command) ? `${title}: ${command}` : title;
}
