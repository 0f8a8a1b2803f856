/**
 * Rebuilds the segments of a message from its frames: text, reasoning, tool calls, plans and starts of attempts in the
 * order of arrival, with their times. The last transaction of a turn, the step that closes a message and the snapshot
 * all use this code, because the row must contain what readers of the log saw.
 *
 * The limits are those of the message (frames/fold.ts): of text and reasoning the beginning is kept, of tool calls and
 * plans the newest. A text or reasoning segment counts the characters of it that are not kept.
 */
import type { MessageId, TaskId } from '../contract/ids.ts';
import type { MessageSegment, PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import { emptyMessage, foldFrame, isOpenCall, MAX_TOOL_CALLS, type MessageView } from './fold.ts';
import type { Frame } from '../contract/frame.ts';

/**
 * The maximum number of text and reasoning segments together. Further text is added to the newest segment of its kind.
 * The text then loses its position, but it is not lost.
 */
const MAX_SPOKEN_SEGMENTS = 5_000;
const MAX_PLANS = 200;
/** The maximum length of the JSON of all plans together. The newest plan is always kept. */
const MAX_PLAN_CHARS = 200_000;
const MAX_BORDERS = 1_000;

type Mutable<T> = T extends unknown ? { -readonly [Key in keyof T]: T[Key] } : never;
type Segment = Mutable<MessageSegment>;
type Of<Type extends Segment['type']> = Extract<Segment, { type: Type }>;
type Spoken = 'text' | 'reasoning';

export class SegmentFold {
  readonly #messageId: MessageId;
  readonly #taskId: TaskId | null;
  /** The content of the message, without its order. */
  readonly view: MessageView = emptyMessage();
  #segments: Segment[] = [];
  #calls = new Map<string, Of<'tool_call'>>();
  #spoken = 0;
  #plans: Of<'plan'>[] = [];
  #planChars = 0;
  #omitted: Of<'omitted'> | undefined;
  #attempt = 1;
  /** The segment that further text of the same kind continues. */
  #open: Of<Spoken> | undefined;

  /** `taskId`: the task that the message answers. */
  constructor({ messageId, taskId }: { messageId: MessageId; taskId: TaskId | null }) {
    this.#messageId = messageId;
    this.#taskId = taskId;
  }

  get segments(): readonly MessageSegment[] {
    return this.#segments;
  }

  /** Adds the next frame of the log. Frames of other messages and of other tasks change nothing. */
  add(frame: Frame): void {
    const isOurs = 'message_id' in frame && frame.message_id === this.#messageId;
    if (!isOurs && (this.#taskId === null || frame.task_id !== this.#taskId)) return;
    if (frame.type === 'usage' || frame.type === 'agent_commands') return;
    // The message of a user has no segments, so only its text is stored in the view.
    if (isOurs && frame.type === 'delta' && frame.role === 'user') return foldFrame(this.view, frame);
    if (isOurs && frame.type === 'delta') return this.#speak('text', frame);
    if (isOurs && frame.type === 'reasoning_delta') return this.#speak('reasoning', frame);
    // The reader sees something else between this text and the next, so the next text begins a new segment.
    this.#open = undefined;
    if (frame.type === 'task_state') this.#border(frame);
    if (!isOurs) return;
    foldFrame(this.view, frame);
    if (frame.type === 'tool_call') this.#tool(frame.call, frame);
    else if (frame.type === 'plan') this.#plan(frame.entries, frame);
    else if (frame.type === 'message_reset') this.#reset(frame.reason, frame);
  }

  #speak(type: Spoken, frame: Extract<Frame, { type: 'delta' | 'reasoning_delta' }>): void {
    const { seq, at, content } = frame;
    const kept = this.#fold(type, frame);
    const segment = this.#segmentFor(type, { seq, at });
    segment.text += content.slice(0, kept);
    const omitted = content.length - kept;
    if (omitted > 0) segment.omitted_chars = (segment.omitted_chars ?? 0) + omitted;
    segment.ended_seq = seq;
    segment.ended_at = at;
    this.#open = segment;
  }

  /** Adds the frame's text to the message. Returns how many UTF-16 units of the text the message keeps. */
  #fold(type: Spoken, frame: Frame): number {
    const field = type === 'text' ? 'content' : 'reasoning';
    const before = this.view[field].length;
    foldFrame(this.view, frame);
    return this.view[field].length - before;
  }

  #segmentFor(type: Spoken, start: { seq: number; at: string }): Of<Spoken> {
    if (this.#open?.type === type) return this.#open;
    const newest =
      this.#spoken < MAX_SPOKEN_SEGMENTS
        ? undefined
        : this.#segments.findLast((segment): segment is Of<Spoken> => segment.type === type);
    if (newest) return newest;
    const segment: Of<Spoken> = { type, ...start, ended_seq: start.seq, ended_at: start.at, text: '' };
    this.#spoken += 1;
    this.#segments.push(segment);
    return segment;
  }

  #tool(call: ToolCall, { seq, at }: Frame): void {
    let segment = this.#calls.get(call.tool_call_id);
    if (!segment) {
      segment = { type: 'tool_call', seq, at, tool_call_id: call.tool_call_id, title: call.title };
      this.#calls.set(call.tool_call_id, segment);
      this.#segments.push(segment);
      this.#forgetOldestCall();
    }
    if (isOpenCall(call)) {
      delete segment.ended_seq;
      delete segment.ended_at;
    } else if (segment.ended_seq === undefined) {
      segment.ended_seq = seq;
      segment.ended_at = at;
    }
  }

  #forgetOldestCall(): void {
    const [oldest] = this.#calls.values();
    if (!oldest || this.#calls.size <= MAX_TOOL_CALLS) return;
    this.#calls.delete(oldest.tool_call_id);
    this.#omit(oldest, 'tool_calls');
  }

  #plan(entries: readonly PlanEntry[], { seq, at }: Frame): void {
    const plan: Of<'plan'> = { type: 'plan', seq, at, entries };
    this.#segments.push(plan);
    this.#plans.push(plan);
    this.#planChars += sizeOf(plan);
    while (this.#plans.length > 1 && (this.#plans.length > MAX_PLANS || this.#planChars > MAX_PLAN_CHARS)) {
      const oldest = this.#plans.shift();
      if (!oldest) return;
      this.#planChars -= sizeOf(oldest);
      this.#omit(oldest, 'plans');
    }
  }

  /**
   * Counts an omitted segment. One segment of type `omitted` has all counts, at the position of the first omitted
   * segment.
   */
  #omit(segment: Segment, what: 'tool_calls' | 'plans'): void {
    const index = this.#segments.indexOf(segment);
    if (this.#omitted) this.#segments.splice(index, 1);
    else {
      this.#omitted = { type: 'omitted', seq: segment.seq, at: segment.at, tool_calls: 0, plans: 0 };
      this.#segments.splice(index, 1, this.#omitted);
    }
    this.#omitted[what] += 1;
  }

  #border({ seq, at, attempt, error_code }: Extract<Frame, { type: 'task_state' }>): void {
    if (attempt === undefined || attempt <= this.#attempt) return;
    this.#attempt = attempt;
    this.#segments.push({ type: 'attempt', seq, at, attempt, ...(error_code && { error_code }) });
    this.#forgetOldestBorder();
  }

  /**
   * Removes the segments so far, because the turn starts over. Segments that record starts of attempts and earlier
   * restarts stay.
   */
  #reset(reason: string, { seq, at }: Frame): void {
    this.#segments = this.#segments.filter(isBorder);
    this.#segments.push({ type: 'reset', seq, at, reason });
    this.#forgetOldestBorder();
    this.#calls = new Map();
    this.#spoken = 0;
    this.#plans = [];
    this.#planChars = 0;
    this.#omitted = undefined;
  }

  #forgetOldestBorder(): void {
    if (this.#segments.length <= MAX_BORDERS || this.#segments.filter(isBorder).length <= MAX_BORDERS) return;
    this.#segments.splice(this.#segments.findIndex(isBorder), 1);
  }
}

const isBorder = ({ type }: Segment): boolean => type === 'attempt' || type === 'reset';
const sizeOf = ({ entries }: Of<'plan'>): number => JSON.stringify(entries).length;
