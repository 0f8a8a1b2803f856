/** Converts a snapshot to frames: those that a reader of the uncompacted log would have got, in order. */
import type { FollowedFrame } from '../client/follow-task.ts';
import type { TaskId } from '../contract/ids.ts';
import type { MessageSegment, ToolCall } from '../contract/vocabulary.ts';

type Snapshot = Extract<FollowedFrame, { type: 'snapshot' }>;
type Message = Snapshot['messages'][number];
export type LogFrame = Exclude<FollowedFrame, Snapshot>;

interface Source {
  readonly taskId: TaskId;
  /**
   * The task's frames that remain in the log after compaction. The frames whose content is in the messages are not
   * among them.
   */
  readonly remainingFrames: readonly LogFrame[];
}

export function framesOfSnapshot(snapshot: Snapshot, { taskId, remainingFrames }: Source): LogFrame[] {
  const known = new Set(remainingFrames.map(({ seq }) => seq));
  const frames = snapshot.messages
    .filter((message) => message.task_id === taskId)
    .flatMap((message) => framesOf(message, { snapshot, taskId, remainingFrames }))
    .filter((frame) => !(isBorder(frame) && known.has(frame.seq)));
  return [...frames, ...remainingFrames].sort((a, b) => a.seq - b.seq);
}

/**
 * Returns whether a frame that was made from a message may also be in `remainingFrames`. Compaction keeps frames of
 * these types.
 */
const isBorder = ({ type }: LogFrame): boolean => type === 'task_state' || type === 'message_reset';

function framesOf(
  message: Message,
  { snapshot, taskId, remainingFrames }: Source & { snapshot: Snapshot },
): LogFrame[] {
  const { message_id, chat_id } = message;
  const of = { session_id: snapshot.session_id, task_id: taskId, message_id, chat_id };
  const first = remainingFrames.find((frame) => 'message_id' in frame && frame.message_id === message_id);
  const start = { seq: first?.seq ?? 0, at: first?.at ?? message.created_at ?? snapshot.at };
  if (message.role === 'user') {
    if (first) return [];
    return [{ type: 'message', ...of, ...start, role: 'user', content: message.content, status: message.status }];
  }
  return message.segments
    ? message.segments.flatMap((segment) => framesOfSegment(segment, { of, calls: message.tool_calls }))
    : unordered(message, { ...of, ...start });
}

type OfMessage = Pick<Extract<LogFrame, { type: 'delta' }>, 'session_id' | 'task_id' | 'message_id' | 'chat_id'>;
type Place = Pick<LogFrame, 'seq' | 'at'>;

function framesOfSegment(
  segment: MessageSegment,
  { of, calls }: { of: OfMessage; calls: readonly ToolCall[] },
): LogFrame[] {
  const { seq, at } = segment;
  const here = { ...of, seq, at };
  switch (segment.type) {
    case 'text':
    case 'reasoning': {
      const { text: content, omitted_chars: omitted, ended_seq, ended_at } = segment;
      const said: LogFrame = { type: segment.type === 'text' ? 'delta' : 'reasoning_delta', ...here, content };
      const end = { ...of, seq: ended_seq, at: ended_at };
      return omitted ? [said, notKept(`${counted(omitted, 'more character')} of ${segment.type}`, end)] : [said];
    }
    case 'tool_call': {
      const call = calls.find(({ tool_call_id }) => tool_call_id === segment.tool_call_id);
      return call ? framesOfCall(segment, call, of) : [];
    }
    case 'plan':
      return [{ type: 'plan', ...here, entries: segment.entries }];
    case 'attempt': {
      const { attempt, error_code } = segment;
      const why = error_code ? { error_code } : {};
      return [{ type: 'task_state', ...here, state: 'running', phase: 'starting', attempt, ...why }];
    }
    case 'reset':
      return [{ type: 'message_reset', ...here, reason: segment.reason }];
    case 'omitted':
      return [notKept(omittedText(segment), here)];
  }
}

const notKept = (what: string, at: OfMessage & Place): LogFrame => ({ type: 'warning', ...at, message: `Not kept: ${what}.` }); // prettier-ignore

function omittedText({ tool_calls: calls, plans }: Extract<MessageSegment, { type: 'omitted' }>): string {
  const parts = [calls > 0 && counted(calls, 'older tool call'), plans > 0 && counted(plans, 'older plan')];
  return parts.filter(Boolean).join(' and ');
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function framesOfCall(
  { seq, at, title, ended_seq, ended_at }: Extract<MessageSegment, { type: 'tool_call' }>,
  call: ToolCall,
  of: OfMessage,
): LogFrame[] {
  const begun: LogFrame = { type: 'tool_call', ...of, seq, at, call: { ...call, title, status: 'in_progress' } };
  if (ended_seq === undefined || ended_at === undefined) return [begun];
  const ended: LogFrame = { type: 'tool_call', ...of, seq: ended_seq, at: ended_at, call };
  return ended_seq === seq ? [ended] : [begun, ended];
}

/**
 * Returns frames for a message without segments, as earlier versions stored it: reasoning, tool calls and plan, then
 * the text.
 */
function unordered({ reasoning, tool_calls, plan, content }: Message, of: OfMessage & Place): LogFrame[] {
  const frames: LogFrame[] = tool_calls.map((call) => ({ type: 'tool_call', ...of, call }));
  if (reasoning) frames.unshift({ type: 'reasoning_delta', ...of, content: reasoning });
  if (plan) frames.push({ type: 'plan', ...of, entries: plan });
  if (content) frames.push({ type: 'delta', ...of, content });
  return frames;
}
