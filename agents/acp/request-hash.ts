/**
 * Hashes the content of a permission request: kind, title, command, paths, content and options, as canonical JSON. An
 * agent that resumes its session asks again under another tool call id, and the hash is then the same. Any other
 * difference gives another hash, so that an answer never applies to a request that the person did not see.
 */
import { createHash } from 'node:crypto';
import type { PermissionOption, ToolCall } from '../../contract/vocabulary.ts';
import type { JsonObject } from './lines.ts';

/** Fields that differ even if the requests are equal. */
const OF_THIS_OCCASION = new Set(['toolCallId', 'tool_call_id', 'status', 'sessionUpdate', '_meta']);

/**
 * `asked` is the request's tool call as the agent sent it, uncut. `call` is the call as it was known before the
 * request.
 */
export function requestHash(call: ToolCall, asked: JsonObject, options: readonly PermissionOption[]): string {
  const json = JSON.stringify([canonical(call), canonical(asked), canonical(options)]);
  return createHash('sha256').update(json).digest('hex');
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([key]) => !OF_THIS_OCCASION.has(key));
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]);
}
