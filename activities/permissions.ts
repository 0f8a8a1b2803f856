/**
 * Answers an agent's permission requests: at once by a rule or by the task's policy, or with the answer of a user. A
 * request that waits for a user is stored as a row, which any program may answer. The row remains if this worker exits.
 * The next attempt finds it when its agent sends an equal request.
 */
import { agentsOption, alwaysRules, shownOptions } from '../agents/always.ts';
import type { PermissionAsk, PermissionDecision } from '../agents/driver.ts';
import { decideByPolicy, policyFor } from '../agents/permission-policy.ts';
import { subjectOf } from '../agents/rule-subject.ts';
import type { FrameStream } from '../frames/stream.ts';
import { rulesOfTask } from '../store/permission-rules.ts';
import { deliverAnswer, expirePermission, openPermission, type PermissionRow } from '../store/permissions.ts';
import type { TakenTurn } from '../store/attempts.ts';
import type { TurnTask } from '../store/turn-task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type PermissionId, shortId } from '../contract/ids.ts';
import { decisionOf, type RuleDecision, type RuleSubject, ruleText } from '../contract/permission-rules.ts';
import type { Phase } from '../contract/task.ts';
import { commandOf } from '../contract/tool-command.ts';
import type { Hibernation } from './hibernation.ts';
import type { TurnRecorder } from './recorder.ts';
import type { StepDeps } from './step.ts';
import { folderOf } from './task-folder.ts';

export interface PermissionContext {
  readonly deps: Pick<StepDeps, 'sql' | 'answers' | 'worktreesDir'>;
  readonly task: TurnTask;
  readonly taken: Extract<TakenTurn, { kind: 'taken' }>;
  readonly stream: Pick<FrameStream, 'flush'>;
  readonly recorder: Pick<TurnRecorder, 'record'>;
  /** Aborted when the turn ends. The request then stays as it is, for the next attempt or for the closing steps. */
  readonly signal: AbortSignal;
  readonly enter: (phase: Phase) => void;
  readonly hibernation: Hibernation;
}

export function permissionAnswers(asking: PermissionContext): (ask: PermissionAsk) => Promise<PermissionDecision> {
  let open = 0;
  return async (ask) => {
    const { task, recorder, enter } = asking;
    const { subject, decided } = await decideNow(asking, ask);
    if (decided.effect !== 'ask') {
      const decision = decideByPolicy(decided.effect, ask);
      // The warning is needed because some agents end their turn without a word about the refusal.
      if (decided.effect === 'deny' || decision.kind === 'cancelled') {
        recorder.record({ kind: 'warning', message: `${notAllowed(task, decided)}: ${titleOf(ask)}` });
      }
      return decision;
    }
    open += 1;
    enter('waiting_permission');
    try {
      return await asking.hibernation.handle((wait) => askPerson(asking, ask, { subject, wait }));
    } finally {
      open -= 1;
      if (open === 0 && !asking.signal.aborted) enter('working');
    }
  };
}

/**
 * Decides the request by the present rules and the task's policy. The rules are read for each request, so that a new
 * rule counts at once.
 */
async function decideNow(
  { deps, task, taken }: PermissionContext,
  ask: PermissionAsk,
): Promise<{ subject: RuleSubject; decided: RuleDecision }> {
  const folder = folderOf(task, { worktreesDir: deps.worktreesDir, sessionId: taken.sessionId });
  const [rules, subject] = await Promise.all([rulesOfTask(deps.sql, task.id), subjectOf(ask, folder.path)]);
  return { subject, decided: decisionOf(rules, subject, policyFor(task, ask)) };
}

function notAllowed({ permission_policy: policy, mode_id: mode }: TurnTask, { rule }: RuleDecision): string {
  if (rule) return `${NOT_ALLOWED}, because of the ${rule.scope}'s rule ${shortId(rule.id)} (${ruleText(rule)})`;
  return policy === 'deny'
    ? `${NOT_ALLOWED}, because the task's permission policy is "${policy}"`
    : `${NOT_ALLOWED}, because the task's mode is ${mode ?? 'the default'} and the agent offers no way to allow once`;
}

/**
 * The beginning of each warning about a refusal. The title follows after a colon. The task's summary repeats the
 * titles.
 */
export const NOT_ALLOWED = 'Not allowed';
const NO_ANSWER = `${NOT_ALLOWED} (no answer in time)`;

interface Wait {
  readonly subject: RuleSubject;
  /** Waits for the user's answer and returns it. The turn may hibernate during this wait only. */
  readonly wait: <A>(answer: () => Promise<A>) => Promise<A>;
}

async function askPerson(
  asking: PermissionContext,
  ask: PermissionAsk,
  { subject, wait }: Wait,
): Promise<PermissionDecision> {
  const { deps, task, taken, stream, recorder, signal } = asking;
  await stream.flush(); // writes the frame of the tool call to the log before the request
  const always = alwaysRules(subject);
  const fallback = decideByPolicy(task.permission_default === 'allow' ? 'allow' : 'deny', ask);
  const opened = await openPermission(deps.sql, {
    taskId: task.id,
    sessionId: taken.sessionId,
    attempt: taken.attempt,
    token: taken.token,
    hash: ask.hash,
    kind: ask.toolCall.kind === 'switch_mode' ? 'plan' : 'tool',
    title: titleOf(ask),
    toolCall: ask.toolCall,
    options: shownOptions(ask.options, always),
    always,
    timeoutS: task.permission_timeout_s ?? undefined,
    defaultOption: fallback.kind === 'selected' ? fallback.optionId : undefined,
  });
  if (opened.kind === 'superseded')
    throw new LonghaulError('superseded', `task ${task.id}: a newer attempt runs the turn`);
  const answer = await wait(() => answerOf(asking, opened.id));
  if (signal.aborted || answer === undefined) return { kind: 'cancelled' };
  if (answer.chosen === null) {
    recorder.record({ kind: 'warning', message: `${NO_ANSWER}: ${titleOf(ask)}` });
    return { kind: 'cancelled' };
  }
  // The answer of an agent that has ended remains for the next attempt, whose agent asks again.
  if (asking.hibernation.agentHasEnded()) return { kind: 'cancelled' };
  const delivered = await deliverAnswer(deps.sql, { id: opened.id, sessionId: taken.sessionId, token: taken.token });
  if (!delivered)
    throw new LonghaulError(
      'superseded',
      `task ${task.id}: a newer attempt runs the turn, or has the answer to permission ${opened.id}`,
    );
  const chosen = agentsOption(ask.options, answer.chosen);
  if (chosen === undefined) return { kind: 'cancelled' };
  if (chosen.kind.startsWith('reject')) {
    const because = answer.answered_by === 'timeout' ? NO_ANSWER : `${NOT_ALLOWED} (the answer was no)`;
    recorder.record({ kind: 'warning', message: `${because}: ${titleOf(ask)}` });
  }
  return { kind: 'selected', optionId: chosen.option_id };
}

/**
 * Waits until the request has an answer or its timeout has passed. `undefined`: the request was cancelled. An expired
 * request has no chosen option if the agent does not offer its default option.
 */
async function answerOf({ deps, signal }: PermissionContext, id: PermissionId): Promise<PermissionRow | undefined> {
  let row = await deps.answers.settled(id, signal);
  if (row.state === 'pending') {
    const expired = await expirePermission(deps.sql, id);
    if (expired.kind === 'missing') return undefined;
    row = expired.permission; // if the user answered before the timeout was stored, this row contains that answer
  }
  return row.state === 'answered' || row.state === 'expired' ? row : undefined;
}

/** Returns the title, with the full command if the call has one, because a title alone may omit the important part. */
function titleOf({ toolCall }: PermissionAsk): string {
  const { title } = toolCall;
  const command = commandOf(toolCall);
  return command !== undefined && !title.includes(command) ? `${title}: ${command}` : title;
}
