/**
 * Asks a person: stores a permission request or an elicitation as a row, which any program may answer, and waits for
 * the answer. The row remains if this worker exits, and the next attempt finds the row when its agent sends the same
 * request again.
 */
import type { Elicitation } from '../contract/elicitation.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { PermissionId } from '../contract/ids.ts';
import type { Phase } from '../contract/task.ts';
import type { FrameStream } from '../frames/stream.ts';
import type { TakenTurn } from '../store/attempts.ts';
import {
  deliverAnswer,
  expirePermission,
  openPermission,
  type PermissionRequest,
  type PermissionRow,
} from '../store/permissions.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { Hibernation } from './hibernation.ts';
import type { TurnRecorder } from './recorder.ts';
import type { StepDeps } from './step.ts';

export interface PermissionContext {
  readonly deps: Pick<StepDeps, 'sql' | 'answers' | 'worktreesDir'>;
  readonly task: TurnTask;
  readonly taken: Extract<TakenTurn, { kind: 'taken' }>;
  readonly stream: Pick<FrameStream, 'flush'>;
  readonly recorder: Pick<TurnRecorder, 'record'>;
  /**
   * Aborted when the turn ends. The request then stays open for the next attempt, or until the closing steps close it.
   */
  readonly signal: AbortSignal;
  readonly enter: (phase: Phase) => void;
  readonly hibernation: Hibernation;
}

export type Question = Pick<
  PermissionRequest,
  'hash' | 'kind' | 'title' | 'toolCall' | 'options' | 'always' | 'defaultOption'
> & { readonly elicitation?: Elicitation };

export type PersonsAnswer =
  /** The turn or the agent has ended. If the request has an answer, the answer remains for the next attempt. */
  | { readonly kind: 'none' }
  /** The timeout of the request has passed, and the agent does not offer the default option. */
  | { readonly kind: 'expired' }
  /** Another program deleted the row, or set a state in which the row has no answer. */
  | { readonly kind: 'withdrawn' }
  /** The user's answer. The row already has the state `delivered`, so the caller must give the answer to the agent. */
  | { readonly kind: 'chosen'; readonly option: string; readonly row: PermissionRow };

export type AskPerson = (question: Question) => Promise<PersonsAnswer>;

/**
 * Returns the function that asks a person. The task's phase is `waiting_permission` while at least one request is open.
 */
export function personAsker(asking: PermissionContext): AskPerson {
  let open = 0;
  return async (question) => {
    open += 1;
    asking.enter('waiting_permission');
    try {
      return await asking.hibernation.handle((wait) => ask(asking, question, wait));
    } finally {
      open -= 1;
      if (open === 0 && !asking.signal.aborted) asking.enter('working');
    }
  };
}

/** Waits for the user's answer and returns it. The turn may hibernate only during this wait. */
type Wait = <A>(answer: () => Promise<A>) => Promise<A>;

async function ask(asking: PermissionContext, question: Question, wait: Wait): Promise<PersonsAnswer> {
  const { deps, task, taken, stream, signal } = asking;
  await stream.flush(); // writes the frame of the tool call to the log before the request
  const opened = await openPermission(deps.sql, {
    ...question,
    taskId: task.id,
    sessionId: taken.sessionId,
    attempt: taken.attempt,
    token: taken.token,
    timeoutS: task.permission_timeout_s ?? undefined,
  });
  if (opened.kind === 'superseded')
    throw new LonghaulError('superseded', `task ${task.id}: a newer attempt runs the turn`);
  const row = await wait(() => answerOf(asking, opened.id));
  if (signal.aborted) return { kind: 'none' };
  if (row === undefined) return { kind: 'withdrawn' };
  if (row.chosen === null) return { kind: 'expired' };
  // If the agent has ended, the user's answer remains for the next attempt, whose agent asks again.
  if (asking.hibernation.agentHasEnded()) return { kind: 'none' };
  const delivered = await deliverAnswer(deps.sql, { id: opened.id, sessionId: taken.sessionId, token: taken.token });
  if (!delivered)
    throw new LonghaulError(
      'superseded',
      `task ${task.id}: a newer attempt runs the turn, or has the answer to permission ${opened.id}`,
    );
  return { kind: 'chosen', option: row.chosen, row };
}

/**
 * Waits until the request has an answer or its timeout has passed. Returns `undefined` if the request has no answer and
 * no longer waits. An expired request has no chosen option if the agent does not offer the default option.
 */
async function answerOf({ deps, signal }: PermissionContext, id: PermissionId): Promise<PermissionRow | undefined> {
  let row = await deps.answers.settled(id, signal);
  if (row?.state === 'pending') {
    const expired = await expirePermission(deps.sql, id);
    if (expired.kind === 'missing') return undefined;
    row = expired.permission; // if the user answered before the timeout was stored, this row contains that answer
  }
  return row?.state === 'answered' || row?.state === 'expired' ? row : undefined;
}
