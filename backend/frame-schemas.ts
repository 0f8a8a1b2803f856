/**
 * The schemas of frames in the OpenAPI document: the content of a WebSocket's messages. The schemas only document the
 * frames and validate nothing, because frames are sent as they are stored. Objects may have further fields, and a
 * reader skips types that it does not know.
 */
import { z } from 'zod';
import type { FollowedFrame } from '../client/follow-task.ts';
import { ON_FAILURE } from '../contract/vocabulary.ts';
import { id, nullableText, time } from './schemas.ts';
import { elicitation } from './elicitation-schema.ts';
import { segment } from './segment-schema.ts';

const loose = z.looseObject;
const envelope = {
  session_id: id,
  seq: z.int().describe('The number of the frame. It grows by one per session, without gaps.'),
  task_id: id.optional(),
  at: z.string().meta({ format: 'date-time' }),
};
const ofMessage = { message_id: id, chat_id: id };

const location = loose({ path: z.string(), line: z.int().optional() });
const toolCall = loose({
  tool_call_id: z.string(),
  title: z.string(),
  kind: z.string().describe('read, edit, delete, move, search, execute, think, fetch, switch_mode or other.'),
  status: z.enum(['pending', 'in_progress', 'completed', 'failed']),
  locations: z.array(location),
  content: z.array(loose({ type: z.string().describe('text, diff, terminal or other.') })),
}).meta({ id: 'ToolCall' });
const planEntry = loose({ content: z.string(), priority: z.string(), status: z.string() });
const command = loose({ name: z.string(), description: z.string(), argument_hint: z.string().optional() });
const count = z.number().optional();
const usage = loose({
  input_tokens: count,
  output_tokens: count,
  total_tokens: count,
  context_used: count.describe('Tokens of the context window that are used.'),
  context_size: count,
  cost: loose({ amount: z.number(), currency: z.string() }).optional(),
});
const queue = {
  tasks: z.array(id).describe('The waiting tasks in the order in which they start, at most 500.'),
  waiting: z.int().describe('The number of all waiting tasks.'),
  held_since: time.describe('While it is set, no waiting task starts.'),
  held_after: id.nullable().describe('The task whose failure or cancel held the queue.'),
  on_failure: z.enum(ON_FAILURE),
};
const permissionOption = loose({ option_id: z.string(), name: z.string(), kind: z.string() });

/** The fields of each frame type, without those that all types have (the envelope). */
const bodies = {
  message_started: { ...ofMessage, role: z.string() },
  delta: {
    ...ofMessage,
    content: z.string().describe('Append this text to the message. It contains the breaks between paragraphs.'),
    role: z.literal('user').optional().describe('If it is set, content replaces the text of the message.'),
  },
  reasoning_delta: { ...ofMessage, content: z.string().describe("Append this text to the message's reasoning.") },
  tool_call: { ...ofMessage, call: toolCall.describe('Replace the tool call with the same id.') },
  plan: { ...ofMessage, entries: z.array(planEntry).describe('Replace the plan by this one.') },
  message_reset: { ...ofMessage, reason: z.string().describe('Discard the content of the message so far.') },
  message_complete: { ...ofMessage, status: z.enum(['complete', 'failed', 'cancelled']) },
  message: { ...ofMessage, role: z.string(), content: z.string(), status: z.string() },
  agent_commands: { commands: z.array(command) },
  usage: { usage },
  permission_requested: {
    permission_id: id,
    options: z.array(permissionOption),
    tool_call: toolCall,
    elicitation: elicitation.optional().describe('Present if the agent asks for no permission.'),
  },
  permission_resolved: { permission_id: id, chosen: z.string().optional() },
  task_state: {
    state: z.string(),
    phase: z.string(),
    error_code: z.string().optional(),
    output_summary: z.string().optional(),
    attempt: z.int().optional(),
    waits_until: z.string().meta({ format: 'date-time' }).optional(),
  },
  change_queued: {
    change_id: id,
    files: z.int(),
    additions: z.int(),
    deletions: z.int(),
    partial: z.boolean(),
  },
  change_state: { change_id: id, state: z.string(), by: z.string().optional() },
  queue,
  warning: { message: z.string() },
} satisfies Record<Exclude<FollowedFrame['type'], 'snapshot'>, z.core.$ZodLooseShape>;

const session = loose({ id, project_id: id.nullable(), name: nullableText, model: nullableText, status: nullableText });
const snapshot = loose({
  type: z.literal('snapshot'),
  ...envelope,
  session,
  messages: z.array(
    loose({
      message_id: id,
      role: z.string(),
      status: z.string(),
      content: z.string(),
      segments: z.array(segment).nullable().describe('Null if the order is not stored.'),
      created_at: time,
    }),
  ),
  tasks: z.array(loose({ task_id: id, state: z.string(), phase: z.string() })),
  changes: z.array(loose({ change_id: id, state: z.string() })).describe('The changes that wait for review.'),
  permissions: z.array(loose({ permission_id: id })).describe('The requests that wait for an answer.'),
  commands: z.array(command),
  usage: usage.nullable(),
  queue: loose(queue),
}).meta({
  id: 'SnapshotFrame',
  description: 'The state of the session at the frame `seq`. It replaces the state that a reader has.',
});

/** Returns the name of the type's component in the document: MessageStartedFrame for `message_started`. */
const nameOf = (type: string): string =>
  `${type.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Frame`;

const logged = Object.entries(bodies).map(([type, fields]) =>
  loose({ type: z.literal(type), ...envelope, ...fields }).meta({ id: nameOf(type) }),
);

const frame = z.union([snapshot, ...logged]).meta({ id: 'Frame' });
/** One message of a WebSocket: an array of frames. */
export const framesMessage = z
  .array(frame)
  .meta({ id: 'Frames', description: 'One message of the WebSocket: frames in order.' });
