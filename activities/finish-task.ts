/**
 * Step 7, finish: writes the final state to the task's row, and to the task's message if the turn did not finish the
 * message. A trigger in the database refuses any later change of the state. A second execution returns the result of
 * the first.
 */
import { Context } from '@temporalio/activity';
import { appendKeyed, type KeyedFrame } from '../store/append-frames.ts';
import { isOpenCall } from '../frames/fold.ts';
import { foldMessage, foldSegments } from '../frames/read-message.ts';
import { endAttempts } from '../store/attempts.ts';
import { finishMessage, messageText, chatOfStreamingMessage } from '../store/messages.ts';
import { closePermissions } from '../store/permissions.ts';
import { warningsBeginningWith } from '../store/task-views.ts';
import { NOT_ANSWERED } from './elicitations.ts';
import { NOT_ALLOWED } from './permissions.ts';
import type { Tx } from '../store/sql.ts';
import { end, lockTaskToEnd, type TaskEnding, type TaskToEnd } from '../store/tasks.ts';
import { wellFormedText } from '../store/well-formed.ts';
import type { TaskId } from '../contract/ids.ts';
import type { FinishInput } from '../contract/steps.ts';
import { type FinalState, isFinal, type TaskEnd, type TaskResult } from '../contract/task.ts';
import { shorten } from '../contract/cut-text.ts';
import { isErrorCode } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';
import { restoreWithheld } from './withhold.ts';

/** The maximum length of the task's summary. It is short because lists of tasks show it. */
const MAX_SUMMARY_CHARS = 500;
const MAX_REFUSED_CHARS = 200;
const CANCEL_TIMEOUT_MS = 5_000;

export function makeFinishTask({ sql, temporal, temporalContent, log }: StepDeps) {
  return async function finishTask(input: FinishInput): Promise<TaskResult> {
    const result = await sql.begin((tx) => finish(tx, input));
    if (result.state === 'cancelled' && input.cancelRun) await cancelRun(temporal, log);
    return temporalContent === 'none' ? { ...result, summary: '' } : result;
  };
}

/**
 * Requests the cancel of the run, because a run whose cancel was not requested would end as failed. If the request
 * fails, the step must still succeed, because the task has ended.
 */
async function cancelRun(temporal: StepDeps['temporal'], log: StepDeps['log']): Promise<void> {
  const { workflowId = '', runId } = Context.current().info.workflowExecution ?? {};
  try {
    const handle = temporal.workflow.getHandle(workflowId, runId);
    await temporal.withDeadline(Date.now() + CANCEL_TIMEOUT_MS, () => handle.cancel());
  } catch (error) {
    // If a user has cancelled the run in the Web UI, Temporal refuses a second cancel.
    log.debug({ err: error, workflow_id: workflowId }, 'the cancel of a run could not be requested');
  }
}

async function finish(tx: Tx, given: FinishInput): Promise<TaskResult> {
  const task = await lockTaskToEnd(tx, given.taskId);
  if (!task) return { state: 'failed', code: 'task_gone', summary: 'The task was deleted while it ran.' };
  if (isFinal(task.state)) return afterEnd(tx, task, given.taskId);
  const input = withWithheldText(given, task);
  if (task.session_id) await endAttempts(tx, input.taskId, task.session_id);
  const summary = await summaryOf(tx, task, input);
  if (task.session_id) {
    const state = input.end.state === 'cancelled' ? 'cancelled' : 'superseded';
    await closePermissions(tx, { taskId: input.taskId, sessionId: task.session_id, state });
  }
  const before = await finishStreaming(tx, task, { taskId: input.taskId, state: input.end.state });
  const { state } = input.end;
  const code = input.end.state === 'failed' ? input.end.code : undefined;
  // The row is locked and its state is not final, so no other program can end the task before this transition.
  await end(tx, { taskId: input.taskId, state, code, summary, kept: keptWorktree(task, input), before });
  return resultOf(state, summary, code ?? null);
}

/**
 * Restores from the row the texts that the settings exclude from Temporal: the sentences of earlier steps, which
 * placeholders replaced, and the reason of a cancel.
 */
function withWithheldText(given: FinishInput, task: TaskToEnd): FinishInput {
  const { end, keptWorktree: kept } = given;
  return {
    ...given,
    end: endWithSentences(end, task),
    ...(kept === undefined ? {} : { keptWorktree: restoreWithheld(kept, task.withheld) }),
  };
}

function endWithSentences(end: TaskEnd, { withheld, cancel_reason }: TaskToEnd): TaskEnd {
  if (end.state === 'failed') return { ...end, message: restoreWithheld(end.message, withheld) };
  if (end.state === 'cancelled') {
    const reason = end.reason ?? cancel_reason;
    return { state: 'cancelled', ...(reason && { reason }) };
  }
  return end;
}

/**
 * Handles a row that is final already, because another program ended the task while it ran, or because this step is
 * executed again. Closes the permission requests and the message that are still open, and returns the result that the
 * row has.
 */
async function afterEnd(tx: Tx, task: TaskToEnd, taskId: TaskId): Promise<TaskResult> {
  const state = task.state === 'completed' || task.state === 'failed' ? task.state : 'cancelled';
  if (task.session_id) await closePermissions(tx, { taskId, sessionId: task.session_id, state: 'cancelled' });
  const frames = await finishStreaming(tx, task, { taskId, state });
  if (task.session_id && frames.length > 0) await appendKeyed(tx, task.session_id, frames);
  return resultOf(state, cut(task.output_summary ?? '', MAX_SUMMARY_CHARS), task.error_code);
}

function resultOf(state: TaskResult['state'], summary: string, code: string | null): TaskResult {
  return { state, summary, ...(isErrorCode(code) ? { code } : {}) };
}

/** Finishes the message of a turn that was stopped or lost. The message's row gets the content that the log has. */
async function finishStreaming(
  tx: Tx,
  task: TaskToEnd,
  { taskId, state }: { taskId: TaskId; state: FinalState },
): Promise<KeyedFrame[]> {
  const { session_id: sessionId, message_id: messageId } = task;
  if (!sessionId || !messageId) return [];
  const chatId = await chatOfStreamingMessage(tx, messageId);
  if (!chatId) return [];
  const of = { sessionId, messageId };
  const view = await foldMessage(tx, of);
  const cutOff = [...view.toolCalls.values()].filter(isOpenCall);
  const closed = cutOff.map((call): KeyedFrame => ({
    key: `${messageId}:closed:${call.tool_call_id}`,
    taskId,
    body: { type: 'tool_call', message_id: messageId, chat_id: chatId, call: { ...call, status: 'failed' } },
  }));
  // The frames of closed tool calls precede the end of the message, so that readers of the log see the same end of each
  // tool call as the row has.
  await appendKeyed(tx, sessionId, closed);
  const segments = await foldSegments(tx, of);
  const status = state === 'completed' ? 'complete' : state;
  const toolCalls = [...view.toolCalls.values()].map((call) =>
    isOpenCall(call) ? { ...call, status: 'failed' as const } : call,
  );
  await finishMessage(tx, { ...view, id: messageId, status, toolCalls, segments });
  const body = { type: 'message_complete', message_id: messageId, chat_id: chatId, status } as const;
  return [{ key: `${taskId}:message-complete`, taskId, body }];
}

async function summaryOf(tx: Tx, task: TaskToEnd, { taskId, end, keptWorktree }: FinishInput): Promise<string> {
  const kept =
    keptWorktree === undefined || !task.worktree_path
      ? ''
      : ` The worktree was kept at ${task.worktree_path}: ${keptWorktree}`;
  const text = await headline(tx, task, taskId, end);
  const refused = await refusedText(tx, task, { taskId, end });
  const rest = MAX_SUMMARY_CHARS - refused.length;
  return cut(text, rest - Math.min(kept.length, rest / 2)) + refused + cut(kept, rest / 2);
}

/**
 * Returns the kept worktree and the warning about it. The warning has the whole reason, which the summary cuts, and
 * what the user must do.
 */
function keptWorktree(
  { worktree_path: worktree }: TaskToEnd,
  { end: ended, keptWorktree: why }: FinishInput,
): TaskEnding['kept'] {
  if (why === undefined || !worktree) return undefined;
  const reason = why.trimEnd();
  const isOthers = ended.state === 'failed' && ended.code === 'worktree_replaced';
  const next = isOthers
    ? 'Inspect the files there, and delete them by hand.'
    : 'Copy what you need from there; `longhaul gc --kept` then deletes the worktree with all files in it.';
  const warning = `The worktree was kept at ${worktree}: ${reason}${/[.!?]$/.test(reason) ? '' : '.'} ${next}`;
  return { worktree, warning: wellFormedText(warning) };
}

/**
 * Returns the part of the summary that names actions that were not allowed and elicitations that were not answered,
 * because the agent's own words may omit them. Only the summary of a completed task has this part, because the summary
 * of a failed task already names the cause.
 */
async function refusedText(
  tx: Tx,
  { session_id: sessionId }: TaskToEnd,
  { taskId, end }: Pick<FinishInput, 'taskId' | 'end'>,
): Promise<string> {
  if (sessionId === null || end.state !== 'completed') return '';
  const texts = [];
  for (const text of [NOT_ALLOWED, NOT_ANSWERED]) {
    const refused = await warningsBeginningWith(tx, { taskId, sessionId, text });
    const titles = [...new Set(refused.map((message) => message.slice(message.indexOf(': ') + 2)))];
    if (titles.length > 0) texts.push(cut(` ${text}: ${titles.join('; ')}`, MAX_REFUSED_CHARS));
  }
  return texts.join('');
}

async function headline(tx: Tx, task: TaskToEnd, taskId: TaskId, end: TaskEnd): Promise<string> {
  if (end.state === 'failed') return end.message;
  if (end.state === 'cancelled') return end.reason ? `Cancelled: ${end.reason}` : 'Cancelled.';
  const text = task.message_id ? await messageText(tx, task.message_id) : undefined;
  const lastParagraph = text
    ?.trim()
    .split(/\n\s*\n/)
    .at(-1)
    ?.trim();
  return lastParagraph || `Task ${taskId} completed; the agent wrote no text.`;
}

const cut = (text: string, limit: number): string => shorten(wellFormedText(text), limit);
