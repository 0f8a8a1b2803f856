/**
 * Checks the answer to a form against the form's fields. The agent receives only a checked answer, even if a program
 * other than Longhaul wrote it to the row.
 *
 * A pattern in a form comes from an agent, so it is matched with a time limit: some patterns need years for a short
 * text.
 */
import { createContext, runInContext } from 'node:vm';
import { z } from 'zod';
import type { Elicitation, FormContent, FormField } from '../contract/elicitation.ts';
import type { WrongPart } from '../contract/errors.ts';

/** The maximum length of one text in an answer. */
const TEXT_LIMIT = 10_000;
const LIST_LIMIT = 200;
const PATTERN_MS = 100;

export type FormAnswer =
  | { readonly kind: 'valid'; readonly content: FormContent }
  | { readonly kind: 'wrong'; readonly parts: readonly WrongPart[] };

/**
 * Returns the checked answer, or the reason why the answer is not valid. A field that the answer omits gets its
 * default. `given` may be any JSON.
 */
export function formAnswer({ fields }: Extract<Elicitation, { mode: 'form' }>, given: unknown): FormAnswer {
  const form = z.strictObject(Object.fromEntries(fields.map((field) => [field.name, valueOf(field)])));
  const parsed = form.safeParse(withDefaults(fields, given));
  if (parsed.success) return { kind: 'valid', content: parsed.data as FormContent };
  const parts = parsed.error.issues.map(({ path, message }) => ({
    pointer: ['', ...path.map((key) => String(key).replaceAll('~', '~0').replaceAll('/', '~1'))].join('/'),
    detail: message,
  }));
  return { kind: 'wrong', parts };
}

function withDefaults(fields: readonly FormField[], given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
  const defaults = fields.flatMap((field) => (field.default === undefined ? [] : [[field.name, field.default]]));
  return { ...(Object.fromEntries(defaults) as object), ...given };
}

function valueOf(field: FormField): z.ZodType {
  const value = requiredValue(field);
  return field.required ? value : value.optional();
}

function requiredValue(field: FormField): z.ZodType {
  switch (field.type) {
    case 'string':
      return field.choices ? choice(field.choices.map(({ value }) => value)) : textOf(field);
    case 'number':
      return inRange(z.number(), field);
    case 'integer':
      return inRange(z.int(), field);
    case 'boolean':
      return z.boolean();
    case 'array':
      return listOf(field);
    default:
      return z.union([z.string().max(TEXT_LIMIT), z.number(), z.boolean(), z.array(z.string()).max(LIST_LIMIT)]);
  }
}

const choice = (values: readonly string[]): z.ZodType =>
  z.string().refine((value) => values.includes(value), {
    error: `expected one of ${values.map((value) => JSON.stringify(value)).join(', ')}`,
  });

function textOf({ min_length: min = 0, max_length: max = TEXT_LIMIT, pattern, format }: FormField): z.ZodType {
  const text = z.string().min(min).max(Math.min(max, TEXT_LIMIT));
  const formatted = text.refine((value) => hasFormat(format, value), { error: `expected the format ${format}` });
  return pattern === undefined
    ? formatted
    : formatted.refine((value) => matches(pattern, value), { error: `expected a text that matches ${pattern}` });
}

function inRange(number: z.ZodNumber, { minimum, maximum }: FormField): z.ZodType {
  const from = minimum === undefined ? number : number.min(minimum);
  return maximum === undefined ? from : from.max(maximum);
}

function listOf({ choices, min_items: min = 0, max_items: max = LIST_LIMIT }: FormField): z.ZodType {
  const item = choices ? choice(choices.map(({ value }) => value)) : z.string().max(TEXT_LIMIT);
  return z
    .array(item)
    .min(min)
    .max(Math.min(max, LIST_LIMIT))
    .refine((list) => new Set(list).size === list.length, { error: 'expected no value twice' });
}

const FORMATS: Readonly<Record<string, z.ZodType>> = {
  email: z.email(),
  uri: z.url(),
  date: z.iso.date(),
  'date-time': z.iso.datetime({ offset: true }),
};

const hasFormat = (format: string | undefined, value: string): boolean =>
  format === undefined || !Object.hasOwn(FORMATS, format) || FORMATS[format]?.safeParse(value).success === true;

/**
 * Returns whether the value matches the pattern. Returns false if the match takes longer than the limit, or if the
 * pattern is not a regular expression.
 */
function matches(pattern: string, value: string): boolean {
  const context = createContext({ pattern, value });
  try {
    return runInContext('new RegExp(pattern, "u").test(value)', context, { timeout: PATTERN_MS }) === true;
  } catch {
    return false;
  }
}
