/**
 * Rebuilds the content of a message from its frames. The turn that writes the message, the attempt that resumes it and
 * the snapshot for a reader use this one function, so they cannot differ.
 */
import { head } from '../contract/cut-text.ts';
import type { PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import type { FrameBody } from '../contract/frame.ts';

export const MAX_CONTENT_CHARS = 50_000;
export const MAX_REASONING_CHARS = 200_000;
/**
 * The maximum number of tool calls of a message. The newest are kept, because each may have 48 KB. The log has all of
 * them.
 */
export const MAX_TOOL_CALLS = 1_000;

/** The content of a message. It is changed in place, because a turn folds thousands of deltas. */
export interface MessageView {
  /** The beginning of the text, at most MAX_CONTENT_CHARS. `totalChars` counts all text that arrived. */
  content: string;
  totalChars: number;
  /** The beginning of the reasoning, at most MAX_REASONING_CHARS. */
  reasoning: string;
  toolCalls: Map<string, ToolCall>;
  plan?: readonly PlanEntry[];
}

/** Whether the tool call has not ended. */
export const isOpenCall = ({ status }: ToolCall): boolean => status === 'in_progress' || status === 'pending';

export function emptyMessage(): MessageView {
  return { content: '', totalChars: 0, reasoning: '', toolCalls: new Map() };
}

/** Adds one frame of the message to its content. Frames without content change nothing. */
export function foldFrame(view: MessageView, frame: FrameBody): void {
  switch (frame.type) {
    case 'delta':
      if (frame.role === 'user') {
        view.content = head(frame.content, MAX_CONTENT_CHARS);
        view.totalChars = frame.content.length;
        break;
      }
      // After a text was cut, no further text is added, even if a shorter character would fit.
      if (view.totalChars === view.content.length)
        view.content += head(frame.content, MAX_CONTENT_CHARS - view.totalChars);
      view.totalChars += frame.content.length;
      break;
    case 'reasoning_delta':
      view.reasoning += head(frame.content, roomFor(view.reasoning, MAX_REASONING_CHARS));
      break;
    case 'tool_call':
      view.toolCalls.set(frame.call.tool_call_id, frame.call);
      forgetOldest(view.toolCalls);
      break;
    case 'plan':
      view.plan = frame.entries;
      break;
    case 'message_reset':
      Object.assign(view, { ...emptyMessage(), plan: undefined });
      break;
    default:
  }
}

function forgetOldest(calls: MessageView['toolCalls']): void {
  for (const id of calls.keys()) {
    if (calls.size <= MAX_TOOL_CALLS) return;
    calls.delete(id);
  }
}

/**
 * Returns how many UTF-16 units of text may still be added. Returns 0 also if one unit is left: a character of two
 * units may have been cut there before, and no later text may follow a cut.
 */
function roomFor(text: string, limit: number): number {
  const room = limit - text.length;
  return room < 2 ? 0 : room;
}
