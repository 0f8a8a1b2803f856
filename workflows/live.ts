/**
 * The messages and the visible state of a running task: its signals, its update, its query, its current details and its
 * search attributes. This file runs only two steps: it stores an answer and publishes progress.
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
import {
  AGENT_PROGRESS,
  ANSWER_PERMISSION,
  CANCEL_TASK,
  SEARCH_ATTRIBUTES,
  TASK_STATUS,
  WAKE_TASK,
} from '../contract/names.ts';
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
import type { Commands } from './commands.ts';
import type { TaskSteps } from './steps.ts';

const PHASE_KEY = defineSearchAttributeKey(SEARCH_ATTRIBUTES.phase, 'KEYWORD');

export interface LiveTask {
  /** Runs `work` so that `cancelTask` and a cancel from the Web UI stop it. */
  cancellable(work: () => Promise<void>): Promise<void>;
  /** Returns the reason if a user requested the cancel, by the signal or in the Web UI; otherwise undefined. */
  cancelReason(): { reason?: string } | undefined;
  enter(step: string, phase: Phase): void;
  /**
   * Shows that the task begins to wait for a provider's limit. Resolves when the rows and the followers have the time
   * at which the wait ends.
   */
  enterLimitWait(attempt: number, until: string): Promise<void>;
  /** Shows that the task hibernates until a user answers. Resolves when the rows and the followers have the phase. */
  enterAnswerWait(attempt: number, question: string | undefined): Promise<void>;
  /**
   * Returns a function that returns whether a request of this attempt was answered after its turn began to hibernate.
   * An answer before this call counts, too.
   */
  answerTo(attempt: number): () => boolean;
  /** Shows that the wait for a limit or an answer is over and that the task waits for a slot. */
  enterSlotWait(attempt: number): Promise<void>;
  ended(end: TaskEnd): void;
  /** Resolves when no message handler runs. */
  drained(): Promise<void>;
}

export function makeLiveTask(taskId: TaskId, run: TaskSteps, { lastingPhases }: Commands): LiveTask {
  const scope = new CancellationScope({ cancellable: true });
  const root = CancellationScope.current();
  let status: TaskStatus = { phase: 'queued', step: 'open session', cancelRequested: false };
  let cancel: CancelTask | undefined;
  let ordinal = 0;
  /** The newest attempt whose request was answered after its turn began to hibernate. */
  let answeredAttempt = 0;
  let hibernatingAttempt = 0;
  let relayed = Promise.resolve();

  let searchable: string = status.phase;

  const search = (value: string): void => {
    if (value !== searchable) upsertSearchAttributes([{ key: PHASE_KEY, value }]);
    searchable = value;
  };
  const show = (change: Partial<TaskStatus>): void => {
    const phase = change.phase ?? status.phase;
    if (!lastingPhases && phase !== 'ended') search(phase);
    const { waitsUntil, question: _asked, ...was } = status;
    status = { ...was, ...(phase === 'waiting_limit' && waitsUntil !== undefined && { waitsUntil }), ...change };
    setCurrentDetails(describe(taskId, status));
  };

  // Progress is published one report after another, so that the log has the reports in order. A report that is lost
  // does no harm, because the next report contains the newer phase.
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
    if (!changed || progress.phase === 'starting') return; // the dispatch step itself has written the phase `starting`
    await relay({ phase: progress.phase, attempt: progress.attempt });
  });
  setHandler(defineSignal<[unknown]>(WAKE_TASK), (wake) => {
    const attempt = isRecord(wake) ? wake['attempt'] : undefined;
    if (typeof attempt === 'number') answeredAttempt = Math.max(answeredAttempt, attempt);
  });
  const answer = async (given: unknown): Promise<string> => {
    const chosen = await storeResponse(run, taskId, given);
    answeredAttempt = Math.max(answeredAttempt, hibernatingAttempt);
    return chosen;
  };
  // The validator refuses an invalid update before Temporal writes an event to the history.
  setHandler(defineUpdate<string, [unknown]>(ANSWER_PERMISSION), answer, {
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
    enterAnswerWait: async (attempt, question) => {
      hibernatingAttempt = attempt;
      show({ step: 'wait for an answer', phase: 'waiting_permission', ...(question && { question }) });
      search('waiting_permission');
      await relay({ phase: 'waiting_permission', attempt });
    },
    answerTo: (attempt) => () => answeredAttempt >= attempt,
    enterSlotWait: async (attempt) => {
      hibernatingAttempt = 0;
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

// Any client of Temporal may send any payload. The payload is parsed here, because a payload that the workflow cannot
// read would fail the run's workflow task at each retry.

function cancelOf(request: unknown): CancelTask {
  const reason = isRecord(request) ? request['reason'] : undefined;
  return typeof reason === 'string' ? { reason } : {};
}

function isProgress(value: unknown): value is AgentProgress {
  return isRecord(value) && Number.isSafeInteger(value['attempt']) && PHASES.some((phase) => phase === value['phase']);
}

type GivenAnswer = Omit<AnswerInput, 'taskId'>;

function answerIn(given: unknown): GivenAnswer {
  const { permissionId, answer, message, content } = isRecord(given) ? given : {};
  if (typeof permissionId !== 'string' || typeof answer !== 'string') {
    throw ApplicationFailure.nonRetryable(
      'answerPermission: expected { permissionId, answer, message? } with strings, and content? with the values of a form. `longhaul prompts --json` lists the ids and options.',
      'invalid_input' satisfies ErrorCode,
    );
  }
  return {
    permissionId: permissionId as GivenAnswer['permissionId'],
    answer,
    ...(typeof message === 'string' && { message }),
    ...(content !== undefined && { content }),
  };
}

/**
 * Runs the step that stores the answer. Fails with the failure of the step. An answer that is not accepted fails the
 * update, never the task.
 */
function storeResponse(run: TaskSteps, taskId: TaskId, given: unknown): Promise<string> {
  return CancellationScope.nonCancellable(() => run.answerPermission({ taskId, ...answerIn(given) })).catch(
    (error: unknown) => {
      const cause = error instanceof ActivityFailure ? error.cause : error;
      throw ApplicationFailure.nonRetryable(
        cause instanceof Error ? cause.message : 'The answer was not stored. Try again.',
        cause instanceof ApplicationFailure ? cause.type : undefined,
      );
    },
  );
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Returns Markdown for the current details in the Web UI. A change of them adds no event to the history. */
function describe(taskId: TaskId, status: TaskStatus): string {
  const { step, phase, cancelRequested, progress, waitsUntil, question, end } = status;
  const lines = [`**${phase === 'ended' ? (end?.state ?? 'ended') : phase}** · step: ${step}`];
  if (end?.state === 'failed') lines.push(`${end.code}: ${end.message}`);
  if (phase === 'waiting_limit')
    lines.push(`The agent's provider has a usage limit, lifted at ${waitsUntil}: the task continues then.`);
  if (step === 'wait for an answer' && !end)
    lines.push(
      `The agent asks a person${question === undefined ? '.' : `: ${question}`}`,
      'No agent runs until the question is answered; `longhaul prompts` lists it',
    );
  if (cancelRequested && !end) lines.push('A cancel was requested; the task is being stopped.');
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
