/** Cleans text of agents so that Postgres and UTF-8 can store it, and cuts it to a limit. */
import { decodeHead, head, tail } from '../../contract/cut-text.ts';

/** Replaces U+0000 and lone surrogates, which Postgres refuses, by U+FFFD. */
export function cleanText(text: string): string {
  return text.replaceAll('\0', '\uFFFD').replace(/\p{Cs}/gu, '\uFFFD');
}

/** Cleans all strings in a parsed JSON value, including its keys. */
export function cleanJson(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (Array.isArray(value)) return value.map(cleanJson);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [cleanText(key), cleanJson(inner)]));
  }
  return value;
}

/** Cuts the text to at most `limitBytes` of UTF-8. A text that was cut ends with a note. */
export function cutText(text: string, limitBytes: number): string {
  if (text.length * 3 <= limitBytes || Buffer.byteLength(text) <= limitBytes) return text;
  const note = `\n… (cut: ${text.length} characters in all)`;
  const kept = Buffer.from(head(text, limitBytes)).subarray(0, Math.max(0, limitBytes - Buffer.byteLength(note)));
  return decodeHead(kept) + note;
}

/** Returns the last lines of an agent's stderr, for a message. */
export function lastLines(text: string, lines = 5, limit = 280): string {
  const kept = cleanText(text).trimEnd().split('\n').slice(-lines).join('\n').trim();
  return kept.length > limit ? `…${tail(kept, limit)}` : kept;
}
