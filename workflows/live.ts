/**
 * What people see and can say while a task runs: its signals, its query, its current details and search
 * attributes. Holds no business of the steps.
 */
import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { TaskId } from '../contract/ids.ts';
import { AGENT_PROGRESS, ANSWER_PERMISSION, CANCEL_TASK, SEARCH_ATTRIBUTES, TASK_STATUS } from '../contract/names.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { AnswerInput, PublishInput } from '../contract/steps.ts';
import {
  type AgentProgress,
  type CancelTask,
  type Phase,
  PHASES,
  type TaskEnd,
  type TaskStatus,
} from '../contract/task.ts';
import type { Commands } from './began.ts';
import type { TaskSteps } from './steps.ts';

const PHASE_KEY = defineSearchAttributeKey(SEARCH_ATTRIBUTES.phase, 'KEYWORD');

export interface LiveTask {
  /** Runs `work` so that `cancelTask` and a cancel from the Web UI stop it. */
  cancellable(work: () => Promise<void>): Promise<void>;
  /** Set once a user asked for the cancel, by either way. */
  cancelReason(): { reason?: string } | undefined;
  enter(step: string, phase: Phase): void;
  /** The task waits for a provider's limit; resolves when rows and followers have been told until when. */
  enterLimitWait(attempt: number, until: string): Promise<void>;
  /** It waits no more but for a slot. */
  enterSlotWait(attempt: number): Promise<void>;
  ended(end: TaskEnd): void;
  /** Resolves when no message handler is at work. */
  drained(): Promise<void>;
}

export function makeLiveTask(taskId: TaskId, run: TaskSteps, { lastingPhases }: Commands): LiveTask {
  const scope = new CancellationScope({ cancellable: true });
  const root = CancellationScope.current();
  let status: TaskStatus = { phase: 'queued', step: 'open session', cancelRequested: false };
  let cancel: CancelTask | undefined;
  let ordinal = 0;
  let relayed = Promise.resolve();

  let searchable: string = status.phase;

  const search = (value: string): void => {
    if (value !== searchable) upsertSearchAttributes([{ key: PHASE_KEY, value }]);
    searchable = value;
  };
  const show = (change: Partial<TaskStatus>): void => {
    const phase = change.phase ?? status.phase;
    if (!lastingPhases && phase !== 'ended') search(phase);
    const { waitsUntil, ...was } = status;
    status = { ...was, ...(phase === 'waiting_limit' && waitsUntil !== undefined && { waitsUntil }), ...change };
    setCurrentDetails(describe(taskId, status));
  };

  // One after the other, so that the log tells them in order. Lost ones are not missed: the row and the
  // next frame say the same.
  const relay = async (news: Omit<PublishInput, 'taskId' | 'ordinal'>): Promise<void> => {
    ordinal += 1;
    const input = { taskId, ...news, ordinal };
    const publish = news.waitsUntil === undefined ? run.publishProgress : run.publishWait;
    relayed = relayed.then(() => CancellationScope.nonCancellable(() => publish(input))).catch(() => {});
    await relayed;
  };

  setHandler(defineSignal<[unknown]>(CANCEL_TASK), (request) => {
    cancel ??= cancelOf(request);
    show({ cancelRequested: true });
    scope.cancel();
  });
  setHandler(defineSignal<[unknown]>(AGENT_PROGRESS), async (progress) => {
    if (!isProgress(progress)) return;
    if (progress.attempt < (status.progress?.attempt ?? 0) || status.step !== 'dispatch agent') return;
    const changed = progress.phase !== status.phase || progress.attempt !== status.progress?.attempt;
    show({ progress, phase: progress.phase });
    search(progress.phase);
    if (!changed || progress.phase === 'starting') return; // that it starts, the step has told
    await relay({ phase: progress.phase, attempt: progress.attempt });
  });
  // A refusal comes before anything is in the history.
  setHandler(defineUpdate<string, [unknown]>(ANSWER_PERMISSION), (given) => storeAnswer(run, taskId, given), {
    validator: (given) => void answerIn(given),
  });
  setHandler(defineQuery<TaskStatus>(TASK_STATUS), () => status);
  setCurrentDetails(describe(taskId, status));

  return {
    cancellable: (work) => scope.run(work),
    cancelReason: () => ((cancel ?? root.consideredCancelled) ? { ...cancel } : undefined),
    enter: (step, phase) => show({ step, phase }),
    enterLimitWait: async (attempt, until) => {
      show({ step: 'wait for the limit', phase: 'waiting_limit', waitsUntil: until });
      search('waiting_limit');
      await relay({ phase: 'waiting_limit', attempt, waitsUntil: until });
    },
    enterSlotWait: async (attempt) => {
      show({ step: 'wait for a slot', phase: 'queued' });
      search('queued');
      await relay({ phase: 'queued', attempt });
    },
    ended: (end) => {
      show({ phase: 'ended', end });
      if (lastingPhases) search(end.state);
    },
    drained: () => CancellationScope.nonCancellable(() => condition(allHandlersFinished)),
  };
}

// Whoever may speak to Temporal may send anything. What a run cannot take would fail its workflow task, again and again.

function cancelOf(request: unknown): CancelTask {
  const reason = isRecord(request) ? request['reason'] : undefined;
  return typeof reason === 'string' ? { reason } : {};
}

function isProgress(value: unknown): value is AgentProgress {
  return isRecord(value) && Number.isSafeInteger(value['attempt']) && PHASES.some((phase) => phase === value['phase']);
}

type GivenAnswer = Omit<AnswerInput, 'taskId'>;

function answerIn(given: unknown): GivenAnswer {
  const { permissionId, answer, message } = isRecord(given) ? given : {};
  if (typeof permissionId !== 'string' || typeof answer !== 'string') {
    throw ApplicationFailure.nonRetryable(
      'answerPermission: expected { permissionId, answer, message? } with texts, as `longhaul prompts --json` lists them.',
      'invalid_input' satisfies ErrorCode,
    );
  }
  return {
    permissionId: permissionId as GivenAnswer['permissionId'],
    answer,
    ...(typeof message === 'string' && { message }),
  };
}

/** Fails as the step does: an answer that is not accepted fails the update, never the task. */
function storeAnswer(run: TaskSteps, taskId: TaskId, given: unknown): Promise<string> {
  return CancellationScope.nonCancellable(() => run.answerPermission({ taskId, ...answerIn(given) })).catch(
    (error: unknown) => {
      const cause = error instanceof ActivityFailure ? error.cause : error;
      throw ApplicationFailure.nonRetryable(
        cause instanceof Error ? cause.message : 'the answer was not stored',
        cause instanceof ApplicationFailure ? cause.type : undefined,
      );
    },
  );
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Markdown for the Web UI's current details; costs no history. */
function describe(taskId: TaskId, status: TaskStatus): string {
  const { step, phase, cancelRequested, progress, waitsUntil, end } = status;
  const lines = [`**${phase === 'ended' ? (end?.state ?? 'ended') : phase}** · step: ${step}`];
  if (end?.state === 'failed') lines.push(`${end.code}: ${end.message}`);
  if (phase === 'waiting_limit')
    lines.push(`The agent's provider has a usage limit, lifted at ${waitsUntil}: the task goes on then.`);
  if (cancelRequested && !end) lines.push('A cancel was asked for; the task is being stopped.');
  if (progress) {
    const facts = [`attempt ${progress.attempt}`];
    if (progress.toolCalls) facts.push(`${progress.toolCalls} tool ${progress.toolCalls === 1 ? 'call' : 'calls'}`);
    if (progress.plan) facts.push(`plan ${progress.plan.done}/${progress.plan.total}`);
    if (progress.tokens) facts.push(`${progress.tokens} tokens`);
    lines.push(facts.join(' · '));
    if (progress.tool && phase !== 'ended') lines.push(`now: ${progress.tool}`);
    if (progress.plan?.current && phase !== 'ended') lines.push(`doing: ${progress.plan.current}`);
  }
  lines.push(`\`longhaul show ${taskId.slice(0, 8)}\``);
  return lines.join('\n\n');
}
