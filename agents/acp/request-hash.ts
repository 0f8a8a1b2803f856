/**
 * Hashes the content of a permission request: kind, title, command, paths, content and options, as canonical JSON. An
 * agent that resumes its session asks again under another tool call id, and the hash is then the same. Any other
 * difference gives another hash, so that an answer never applies to a request that the person did not see.
 */
import { createHash } from 'node:crypto';
import type { PermissionOption, ToolCall } from '../../contract/vocabulary.ts';
import type { JsonObject } from './lines.ts';

/**
 * Fields of a call that differ even if two requests are equal. Only these fields of the call itself are omitted: fields
 * of the same names in the call's input count.
 */
const OF_THIS_OCCASION = new Set(['toolCallId', 'tool_call_id', 'status', 'sessionUpdate', '_meta']);

/**
 * Returns a hash that is the same for equal requests. `asked` is the request's tool call as the agent sent it, uncut.
 * `call` is the tool call as it was known before the request.
 */
export function requestHash(call: ToolCall, asked: JsonObject, options: readonly PermissionOption[]): string {
  const json = JSON.stringify([
    canonical(withoutOccasion(call)),
    canonical(withoutOccasion(asked)),
    canonical(options),
  ]);
  return createHash('sha256').update(json).digest('hex');
}

const withoutOccasion = (call: object): object =>
  Object.fromEntries(Object.entries(call).filter(([key]) => !OF_THIS_OCCASION.has(key)));

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, canonical(inner)]);
}
