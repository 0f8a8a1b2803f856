/** Reads the params of `elicitation/create`: a form with its fields, or an address. */
import { createHash } from 'node:crypto';
import type { Elicitation, FormChoice, FormField, FormValue } from '../../contract/elicitation.ts';
import { isObject, type JsonObject } from './lines.ts';
import { cleanJson } from './text.ts';

/**
 * The maximum size of an elicitation as JSON. A frame has at most 64 KB. A larger elicitation is refused and not cut,
 * because a person must see all of it.
 */
const LIMIT_BYTES = 40 * 1024;

/** Fields that differ even if two elicitations are equal, so the hash omits them. */
const OF_THIS_OCCASION = new Set(['sessionId', 'requestId', 'toolCallId', 'elicitationId', '_meta']);

export type ReadElicitation =
  | { readonly kind: 'read'; readonly elicitation: Elicitation; readonly hash: string }
  | { readonly kind: 'refused'; readonly why: string };

/** Returns the cleaned elicitation with its hash, or the reason why it is refused. */
export function readElicitation(params: JsonObject): ReadElicitation {
  const clean = cleanJson(params) as JsonObject;
  const elicitation = elicitationIn(clean);
  if (typeof elicitation === 'string') return { kind: 'refused', why: elicitation };
  const bytes = Buffer.byteLength(JSON.stringify(elicitation));
  if (bytes > LIMIT_BYTES) return { kind: 'refused', why: `expected at most ${LIMIT_BYTES} bytes, found ${bytes}` };
  return { kind: 'read', elicitation, hash: elicitationHash(clean) };
}

/** Returns the elicitation, or a sentence that says why the client does not support it. */
function elicitationIn(params: JsonObject): Elicitation | string {
  const { mode, message, url, requestedSchema: schema } = params;
  if (typeof message !== 'string') return 'message: expected a text';
  if (mode === 'url') return isAddress(url) ? { mode, message, url } : 'url: expected an http or https address';
  if (mode !== 'form') return `mode: expected form or url, found ${JSON.stringify(mode)}`;
  if (!isObject(schema)) return 'requestedSchema: expected an object';
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required: unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const fields = Object.entries(properties).map(([name, property]) =>
    fieldIn(name, isObject(property) ? property : {}, required.includes(name)),
  );
  const absent = required.find((name) => typeof name === 'string' && !Object.hasOwn(properties, name));
  if (absent !== undefined) return `requestedSchema: ${JSON.stringify(absent)} is required and no property`;
  return { mode, message, ...words(schema), fields };
}

/**
 * Returns whether a person can safely open the address in a browser. Addresses that run a program (`file:`,
 * `javascript:`) are refused.
 */
function isAddress(value: unknown): value is string {
  return typeof value === 'string' && /^https?:$/.test(URL.parse(value)?.protocol ?? '');
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

const words = (of: JsonObject): { title?: string; description?: string } => ({
  ...(typeof of['title'] === 'string' && { title: of['title'] }),
  ...(typeof of['description'] === 'string' && { description: of['description'] }),
});

function fieldIn(name: string, property: JsonObject, required: boolean): FormField {
  const items = isObject(property['items']) ? property['items'] : {};
  const constraints = {
    choices: property['type'] === 'array' ? choicesIn(items, 'anyOf') : choicesIn(property, 'oneOf'),
    default: valueIn(property['default']),
    min_length: number(property['minLength']),
    max_length: number(property['maxLength']),
    pattern: text(property['pattern']),
    format: text(property['format']),
    minimum: number(property['minimum']),
    maximum: number(property['maximum']),
    min_items: number(property['minItems']),
    max_items: number(property['maxItems']),
  };
  // In ACP an optional value that is null counts as absent.
  const present = Object.fromEntries(Object.entries(constraints).filter(([, value]) => value !== undefined));
  return { name, type: text(property['type']) ?? 'string', ...words(property), required, ...present };
}

function choicesIn(of: JsonObject, titled: 'oneOf' | 'anyOf'): FormChoice[] | undefined {
  const { enum: plain } = of;
  const named = of[titled];
  if (Array.isArray(named)) {
    return named.flatMap((one) => {
      const value = isObject(one) ? text(one['const']) : undefined;
      return !isObject(one) || value === undefined ? [] : [{ title: value, ...words(one), value }];
    });
  }
  return Array.isArray(plain)
    ? plain.flatMap((value) => (typeof value === 'string' ? [{ value, title: value }] : []))
    : undefined;
}

function valueIn(value: unknown): FormValue | undefined {
  if (Array.isArray(value)) return value.filter((one) => typeof one === 'string');
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}

/**
 * Returns a hash of everything on which a person decides. So two elicitations have the same hash only if they differ in
 * nothing but the fields of OF_THIS_OCCASION.
 */
function elicitationHash(params: JsonObject): string {
  const asked = Object.fromEntries(Object.entries(params).filter(([key]) => !OF_THIS_OCCASION.has(key)));
  return createHash('sha256')
    .update(JSON.stringify(canonical(asked)))
    .digest('hex');
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (!isObject(value)) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, canonical(inner)]);
}
