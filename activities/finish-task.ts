/**
 * Step 7, finish: the row's final state and, if the turn could not, the message's. A trigger refuses any
 * later change. Run twice it returns what the first run wrote.
 */
import { Context } from '@temporalio/activity';
import { appendKeyed, type KeyedFrame } from '../store/append-frames.ts';
import { isOpenCall } from '../frames/fold.ts';
import { foldMessage, foldSegments } from '../frames/read-message.ts';
import { endAttempts } from '../store/attempts.ts';
import { finishMessage, streamingChat } from '../store/messages.ts';
import type { Tx } from '../store/sql.ts';
import { wellFormedText } from '../store/well-formed.ts';
import type { MessageId, SessionId, TaskId } from '../contract/ids.ts';
import type { FinishInput } from '../contract/steps.ts';
import { type FinalState, isFinal, type TaskEnd, type TaskResult, type TaskState } from '../contract/task.ts';
import { shorten } from '../contract/cut-text.ts';
import { isErrorCode } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';
import { withSentences } from './withhold.ts';

/** What people read in a list: §3 of the design bounds it. */
const MAX_SUMMARY_CHARS = 500;
const CANCEL_MS = 5_000;

interface TaskRow {
  readonly state: TaskState;
  readonly session_id: SessionId | null;
  readonly message_id: MessageId | null;
  readonly worktree_path: string | null;
  readonly output_summary: string | null;
  readonly error_code: string | null;
  readonly withheld: unknown;
  readonly cancel_reason: string | null;
}

export function makeFinishTask({ sql, temporal, temporalContent, log }: StepDeps) {
  return async function finishTask(input: FinishInput): Promise<TaskResult> {
    const result = await sql.begin((tx) => finish(tx, input));
    if (result.state === 'cancelled' && input.cancelRun) await cancelRun(temporal, log);
    return temporalContent === 'none' ? { ...result, summary: '' } : result;
  };
}

/** Without it the run would end as failed. Failures are no reason to fail: the task has ended. */
async function cancelRun(temporal: StepDeps['temporal'], log: StepDeps['log']): Promise<void> {
  const { workflowId = '', runId } = Context.current().info.workflowExecution ?? {};
  try {
    const handle = temporal.workflow.getHandle(workflowId, runId);
    await temporal.withDeadline(Date.now() + CANCEL_MS, () => handle.cancel());
  } catch (error) {
    // A person may have cancelled the run in the Web UI: that is refused a second time.
    log.debug({ err: error, workflow_id: workflowId }, 'the cancel of a run was not requested');
  }
}

async function finish(tx: Tx, given: FinishInput): Promise<TaskResult> {
  const [task] = await tx<TaskRow[]>`
    SELECT state, session_id, message_id, worktree_path, output_summary, error_code, withheld, left(cancel_reason, 400) AS cancel_reason
      FROM tasks WHERE id = ${given.taskId} FOR UPDATE`;
  if (!task) return { state: 'failed', code: 'task_gone', summary: 'The task was deleted while it ran.' };
  if (isFinal(task.state)) return afterEnd(tx, task, given.taskId);
  const input = withWords(given, task);
  if (task.session_id) await endAttempts(tx, input.taskId, task.session_id);
  const summary = await summaryOf(tx, task, input);
  const frames = await finishStreaming(tx, task, { taskId: input.taskId, state: input.end.state });
  await writeEnd(tx, task, input, summary);
  if (task.session_id) {
    const kept = keptText(task, input);
    if (kept !== undefined) {
      frames.push({
        key: `${input.taskId}:kept-worktree`,
        taskId: input.taskId,
        body: { type: 'warning', message: kept },
      });
    }
    const error_code = input.end.state === 'failed' ? { error_code: input.end.code } : {};
    frames.push({
      key: `${input.taskId}:end`,
      taskId: input.taskId,
      body: {
        type: 'task_state',
        state: input.end.state,
        phase: 'cleaning',
        output_summary: summary,
        ...error_code,
      },
    });
    await appendKeyed(tx, task.session_id, frames);
  }
  return resultOf(input.end.state, summary, input.end.state === 'failed' ? input.end.code : null);
}

/** What Temporal was not given comes from the row: sentences of steps, and why a person cancelled. */
function withWords(given: FinishInput, task: TaskRow): FinishInput {
  const { end, keptWorktree: kept } = given;
  return {
    ...given,
    end: endWithWords(end, task),
    ...(kept === undefined ? {} : { keptWorktree: withSentences(kept, task.withheld) }),
  };
}

function endWithWords(end: TaskEnd, { withheld, cancel_reason }: TaskRow): TaskEnd {
  if (end.state === 'failed') return { ...end, message: withSentences(end.message, withheld) };
  if (end.state === 'cancelled') {
    const reason = end.reason ?? cancel_reason;
    return { state: 'cancelled', ...(reason && { reason }) };
  }
  return end;
}

/** Some program ended the row while the task ran, or this step runs again: what it left open is closed. */
async function afterEnd(tx: Tx, task: TaskRow, taskId: TaskId): Promise<TaskResult> {
  const state = task.state === 'completed' || task.state === 'failed' ? task.state : 'cancelled';
  const frames = await finishStreaming(tx, task, { taskId, state });
  if (task.session_id && frames.length > 0) await appendKeyed(tx, task.session_id, frames);
  return resultOf(state, cut(task.output_summary ?? '', MAX_SUMMARY_CHARS), task.error_code);
}

function resultOf(state: TaskResult['state'], summary: string, code: string | null): TaskResult {
  return { state, summary, ...(isErrorCode(code) ? { code } : {}) };
}

/** A turn that was stopped or lost left its message streaming: what the log has of it is kept. */
async function finishStreaming(
  tx: Tx,
  task: TaskRow,
  { taskId, state }: { taskId: TaskId; state: FinalState },
): Promise<KeyedFrame[]> {
  const { session_id: sessionId, message_id: messageId } = task;
  if (!sessionId || !messageId) return [];
  const chatId = await streamingChat(tx, messageId);
  if (!chatId) return [];
  const of = { sessionId, messageId };
  const view = await foldMessage(tx, of);
  const cutOff = [...view.toolCalls.values()].filter(isOpenCall);
  const closed = cutOff.map((call): KeyedFrame => ({
    key: `${messageId}:closed:${call.tool_call_id}`,
    taskId,
    body: { type: 'tool_call', message_id: messageId, chat_id: chatId, call: { ...call, status: 'failed' } },
  }));
  // Before the message's end, so that readers of the log see these calls end as the row has it.
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

async function writeEnd(
  tx: Tx,
  task: TaskRow,
  { taskId, end, keptWorktree }: FinishInput,
  summary: string,
): Promise<void> {
  await tx`
    UPDATE tasks
       SET state = ${end.state}, phase = 'cleaning', ended_at = clock_timestamp(), output_summary = ${summary},
           error_code = ${end.state === 'failed' ? end.code : null}, waits_until = NULL, withheld = NULL,
           kept_worktree = ${keptWorktree === undefined ? null : task.worktree_path},
           cost_tokens = (SELECT CASE WHEN tokens_used IS NOT NULL THEN least(greatest(tokens_used, 0), 9007199254740991) END FROM messages WHERE id = ${task.message_id})
     WHERE id = ${taskId}`;
}

async function summaryOf(tx: Tx, task: TaskRow, { taskId, end, keptWorktree }: FinishInput): Promise<string> {
  const kept =
    keptWorktree === undefined || !task.worktree_path
      ? ''
      : ` The worktree was kept at ${task.worktree_path}: ${keptWorktree}`;
  const said = await headline(tx, task, taskId, end);
  return cut(said, MAX_SUMMARY_CHARS - Math.min(kept.length, MAX_SUMMARY_CHARS / 2)) + cut(kept, MAX_SUMMARY_CHARS / 2);
}

/** The whole reason, which the summary cuts, and what a person must do. */
function keptText({ worktree_path: place }: TaskRow, { end, keptWorktree }: FinishInput): string | undefined {
  if (keptWorktree === undefined || !place) return undefined;
  const reason = keptWorktree.trimEnd();
  const isOthers = end.state === 'failed' && end.code === 'worktree_replaced';
  const next = isOthers
    ? 'Look at what is there, and delete it by hand.'
    : 'Take what you need from there; `longhaul gc --kept` then deletes the worktree with all that is in it.';
  return wellFormedText(`The worktree was kept at ${place}: ${reason}${/[.!?]$/.test(reason) ? '' : '.'} ${next}`);
}

async function headline(tx: Tx, task: TaskRow, taskId: TaskId, end: TaskEnd): Promise<string> {
  if (end.state === 'failed') return end.message;
  if (end.state === 'cancelled') return end.reason ? `Cancelled: ${end.reason}` : 'Cancelled.';
  const [message] = await tx<{ content: string }[]>`SELECT content FROM messages WHERE id = ${task.message_id}`;
  const lastParagraph = message?.content
    .trim()
    .split(/\n\s*\n/)
    .at(-1)
    ?.trim();
  return lastParagraph || `Task ${taskId} completed; the agent wrote no text.`;
}

const cut = (text: string, limit: number): string => shorten(wellFormedText(text), limit);
