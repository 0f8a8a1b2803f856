/**
 * Parses a stored frame into the shape that readers expect. Any program may write any JSON and any time into `frames`.
 * Code that folds or shows frames gets only frames that this file parsed. A frame of a known type with a malformed body
 * is omitted. A frame of an unknown type is passed on, because a later version may have written it. Not covered: the
 * frames that a WebSocket sends, because it sends the stored text itself.
 */
import { z } from 'zod';
import type { Frame } from '../contract/frame.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import { ON_FAILURE } from '../contract/vocabulary.ts';
import { commandsIn } from '../store/commands.ts';
import { elicitationIn, optionsIn, planIn, toolCallIn, usageIn } from './message-json.ts';

const text = z.string();
const ofMessage = { message_id: text, chat_id: text.catch('') };
const count = z.int().nonnegative().catch(0);
const loose = z.looseObject;
const optionalText = text.optional().catch(undefined);
const toolCall = z
  .unknown()
  .optional()
  .transform((value, context) => {
    const call = toolCallIn(value);
    if (call === null) context.addIssue({ code: 'custom', message: 'no tool call' });
    return call;
  });

const BODIES = new Map<string, z.ZodType<object>>(
  Object.entries({
    message_started: loose({ ...ofMessage, role: text }),
    delta: loose({ ...ofMessage, content: text, role: z.literal('user').optional().catch(undefined) }),
    reasoning_delta: loose({ ...ofMessage, content: text }),
    tool_call: loose({ ...ofMessage, call: toolCall }),
    plan: loose({
      ...ofMessage,
      entries: z
        .unknown()
        .optional()
        .transform((value) => planIn(value) ?? []),
    }),
    message_reset: loose({ ...ofMessage, reason: text.catch('') }),
    message_complete: loose({ ...ofMessage, status: text }),
    message: loose({ ...ofMessage, role: text, content: text, status: text.catch('complete') }),
    agent_commands: loose({ commands: z.unknown().optional().transform(commandsIn) }),
    usage: loose({
      usage: z
        .unknown()
        .optional()
        .transform((value) => usageIn(value) ?? {}),
    }),
    permission_requested: loose({
      permission_id: text,
      options: z.unknown().optional().transform(optionsIn),
      tool_call: toolCall,
      elicitation: z
        .unknown()
        .optional()
        .transform((value) => elicitationIn(value) ?? undefined),
    }),
    permission_resolved: loose({ permission_id: text, chosen: optionalText }),
    task_state: loose({
      state: text,
      phase: text,
      error_code: optionalText,
      output_summary: optionalText,
      attempt: z.int().nonnegative().optional().catch(undefined),
      waits_until: optionalText,
    }),
    change_queued: loose({ change_id: text, files: count, additions: count, deletions: count, partial: z.boolean().catch(false) }), // prettier-ignore
    change_state: loose({ change_id: text, state: text, by: text.optional() }),
    queue: loose({
      tasks: z.array(text).catch([]),
      waiting: count,
      held_since: text.nullable().catch(null),
      held_after: text.nullable().catch(null),
      on_failure: z.enum(ON_FAILURE).catch('continue'),
    }),
    warning: loose({ message: text }),
  }),
);

export interface StoredFrame {
  readonly session_id: SessionId;
  readonly seq: number;
  readonly type: string;
  readonly task_id?: TaskId;
  /** ISO 8601. */
  readonly at: string;
  readonly body: unknown;
}

/** Returns `undefined` if the body does not have the shape of its type. */
export function frameIn({ body, ...envelope }: StoredFrame): Frame | undefined {
  const parsed = (BODIES.get(envelope.type) ?? anyBody).safeParse(body);
  // The envelope is spread last, because a body may have fields of the same names.
  return parsed.success ? ({ ...parsed.data, ...envelope } as unknown as Frame) : undefined;
}

const anyBody = loose({});

/** Returns ISO 8601. A time that JavaScript cannot express (`infinity`) counts as 1970. */
export const frameTime = (at: Date): string => (Number.isNaN(at.getTime()) ? new Date(0) : at).toISOString();
