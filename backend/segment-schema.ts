/** The schema of a message's segments, in responses and snapshots. */
import { z } from 'zod';

const start = { seq: z.int().describe('Number of its first frame.'), at: z.string().meta({ format: 'date-time' }) };
const end = {
  ended_seq: z.int().describe('Number of its last frame.'),
  ended_at: z.string().meta({ format: 'date-time' }),
};
/** The schema of one segment. docs/frames.md describes each type. */
export const segment = z
  .discriminatedUnion('type', [
    z.object({
      type: z.enum(['text', 'reasoning']),
      text: z.string(),
      omitted_chars: z.int().optional().describe('UTF-16 units that arrived and are not stored.'),
      ...start,
      ...end,
    }),
    z.object({
      type: z.literal('tool_call'),
      tool_call_id: z.string().describe('The id of one of tool_calls.'),
      title: z.string().describe('The title with which the call began.'),
      ...start,
      ended_seq: end.ended_seq.optional().describe('Absent while the call is open.'),
      ended_at: end.ended_at.optional(),
    }),
    z.object({ type: z.literal('plan'), entries: z.array(z.unknown()), ...start }),
    z.object({
      type: z.literal('attempt').describe('The start of another attempt.'),
      attempt: z.int(),
      error_code: z.string().optional().describe('Why the previous attempt ended, if the reason is known.'),
      ...start,
    }),
    z.object({ type: z.literal('reset').describe('The turn started over.'), reason: z.string(), ...start }),
    z.object({
      type: z
        .literal('omitted')
        .describe('The number of segments that are not stored, at the position of the first of them.'),
      tool_calls: z.int(),
      plans: z.int(),
      ...start,
    }),
  ])
  .meta({ id: 'Segment' });
