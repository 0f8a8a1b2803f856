/**
 * The JSON columns of a message or permission row in the shapes that readers expect. Any program may write any JSON to
 * them. Readers of a snapshot (REST, `longhaul watch`, a web client) get only values that passed through here.
 *
 * A tool call or plan entry is repaired if a default value is not misleading, and omitted if it has no id. Segments are
 * valid only together: without one of them the text of the message would be incomplete, so a list with a malformed one
 * counts as not stored, and the reader shows the message without its order.
 */
import { z } from 'zod';
import type { MessageSegment, PermissionOption, PlanEntry, ToolCall, Usage } from '../contract/vocabulary.ts';

const seq = z.int().nonnegative();
const at = z.string().refine((text) => !Number.isNaN(Date.parse(text)));

const content = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text'), text: z.string() }),
  z.looseObject({ type: z.literal('diff'), path: z.string(), old_text: z.string().optional(), new_text: z.string() }),
  z.looseObject({ type: z.literal('terminal'), terminal_id: z.string() }),
  z.looseObject({ type: z.literal('other'), json: z.string() }),
]);

const location = z.looseObject({ path: z.string(), line: z.number().optional() });

const toolCall = z.looseObject({
  tool_call_id: z.string(),
  title: z.string().catch(''),
  kind: z.string().catch('other'),
  // Not `pending`: a reader would wait for the end of a call that has none.
  status: z.enum(['pending', 'in_progress', 'completed', 'failed']).catch('failed'),
  locations: z
    .unknown()
    .optional()
    .transform((value) => itemsOf(location, value)),
  content: z
    .unknown()
    .optional()
    .transform((value) => itemsOf(content, value)),
});

const planEntry = z.looseObject({
  content: z.string(),
  priority: z.string().catch('medium'),
  status: z.string().catch('pending'),
});

const start = { seq, at };
const end = { ended_seq: seq, ended_at: at };
const segment = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.enum(['text', 'reasoning']),
    text: z.string(),
    omitted_chars: z.int().nonnegative().optional(),
    ...start,
    ...end,
  }),
  z.looseObject({
    type: z.literal('tool_call'),
    tool_call_id: z.string(),
    title: z.string(),
    ...start,
    ended_seq: seq.optional(),
    ended_at: at.optional(),
  }),
  z.looseObject({
    type: z.literal('plan'),
    entries: z.array(z.unknown()).transform((value) => itemsOf(planEntry, value)),
    ...start,
  }),
  z.looseObject({
    type: z.literal('attempt'),
    attempt: z.int().nonnegative(),
    error_code: z.string().optional(),
    ...start,
  }),
  z.looseObject({ type: z.literal('reset'), reason: z.string(), ...start }),
  z.looseObject({
    type: z.literal('omitted'),
    tool_calls: z.int().nonnegative(),
    plans: z.int().nonnegative(),
    ...start,
  }),
]);

/** The elements that have the shape; none if the value is no list. */
function itemsOf<Item>(schema: z.ZodType<Item>, value: unknown): Item[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one) => {
    const parsed = schema.safeParse(one);
    return parsed.success ? [parsed.data] : [];
  });
}

/** Without elements that have no `tool_call_id`. */
export const toolCallsIn = (value: unknown): ToolCall[] => itemsOf(toolCall, value);

/** `null`: there is none, or one without an id. */
export const toolCallIn = (value: unknown): ToolCall | null => toolCallsIn([value])[0] ?? null;

/** `null`: there is no list. */
export const planIn = (value: unknown): PlanEntry[] | null => (Array.isArray(value) ? itemsOf(planEntry, value) : null);

/** `null`: there is no list, or one of its elements is malformed. */
export function segmentsIn(value: unknown): MessageSegment[] | null {
  const parsed = z.array(segment).safeParse(value);
  return parsed.success ? (parsed.data as MessageSegment[]) : null;
}

const option = z.looseObject({
  option_id: z.string(),
  name: z.string().catch(''),
  // No default: a person would choose an option whose effect is not known.
  kind: z.enum(['allow_once', 'allow_always', 'reject_once', 'reject_always']),
});
const count = z.number().optional().catch(undefined);
const usage = z.looseObject({
  input_tokens: count,
  output_tokens: count,
  total_tokens: count,
  context_used: count,
  context_size: count,
  cost: z.looseObject({ amount: z.number(), currency: z.string() }).optional().catch(undefined),
});

/** Without elements that have no `option_id` or an unknown `kind`. */
export const optionsIn = (value: unknown): PermissionOption[] => itemsOf(option, value);

/** `null`: there is none. */
export function usageIn(value: unknown): Usage | null {
  const parsed = usage.safeParse(value);
  return parsed.success ? parsed.data : null;
}
