/**
 * Parses the JSON columns of a message or permission row into the shapes that readers expect. Any program may write any
 * JSON to them. Readers of a snapshot (REST, `longhaul watch`, a web client) get only values that this file parsed.
 *
 * A malformed tool call or plan entry gets default values where such values do not mislead. A tool call without an id
 * and a plan entry without a text are omitted. Segments are valid only together, because the message's text would be
 * incomplete without one of them. So a list with a malformed segment counts as not stored, and the reader shows the
 * message without its order.
 */
import { z } from 'zod';
import type { Elicitation } from '../contract/elicitation.ts';
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
  // The default is not `pending`, because a reader would then wait for the end of a call that has none.
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

/** Returns the elements that have the shape. Empty if the value is no list. */
function itemsOf<Item>(schema: z.ZodType<Item>, value: unknown): Item[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one) => {
    const parsed = schema.safeParse(one);
    return parsed.success ? [parsed.data] : [];
  });
}

/** Returns the tool calls, without elements that have no `tool_call_id`. */
export const toolCallsIn = (value: unknown): ToolCall[] => itemsOf(toolCall, value);

/** Returns `null` if there is no tool call, or one without an id. */
export const toolCallIn = (value: unknown): ToolCall | null => toolCallsIn([value])[0] ?? null;

/** Returns `null` if the value is no list. */
export const planIn = (value: unknown): PlanEntry[] | null => (Array.isArray(value) ? itemsOf(planEntry, value) : null);

/** Returns `null` if the value is no list, or if one of its elements is malformed. */
export function segmentsIn(value: unknown): MessageSegment[] | null {
  const parsed = z.array(segment).safeParse(value);
  return parsed.success ? (parsed.data as MessageSegment[]) : null;
}

const option = z.looseObject({
  option_id: z.string(),
  name: z.string().catch(''),
  // There is no default, because the user would choose an option whose effect is not known.
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

/** Returns the options, without elements that have no `option_id` or an unknown `kind`. */
export const optionsIn = (value: unknown): PermissionOption[] => itemsOf(option, value);

const formValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);
const amount = z.number().optional().catch(undefined);
const words = z.string().optional().catch(undefined);
const formField = z.looseObject({
  name: z.string(),
  type: z.string(),
  title: words,
  description: words,
  required: z.boolean().catch(false),
  default: formValue.optional().catch(undefined),
  choices: z.array(z.looseObject({ value: z.string(), title: z.string(), description: words })).optional(),
  min_length: amount,
  max_length: amount,
  pattern: words,
  format: words,
  minimum: amount,
  maximum: amount,
  min_items: amount,
  max_items: amount,
});
const elicitation = z.discriminatedUnion('mode', [
  // A malformed field makes the whole form invalid, because an answer without this field would not fit the agent's
  // form.
  z.looseObject({
    mode: z.literal('form'),
    message: z.string(),
    title: words,
    description: words,
    fields: z.array(formField),
  }),
  z.looseObject({ mode: z.literal('url'), message: z.string(), url: z.string() }),
]);

/** Returns `null` if the value is not an elicitation. */
export function elicitationIn(value: unknown): Elicitation | null {
  const parsed = elicitation.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** Returns `null` if the value is no usage. */
export function usageIn(value: unknown): Usage | null {
  const parsed = usage.safeParse(value);
  return parsed.success ? parsed.data : null;
}
