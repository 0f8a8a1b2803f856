/**
 * Returns the text in a form that Postgres accepts. Postgres refuses U+0000 (22021 as text, 22P05 as jsonb) and lone
 * surrogates (22P02 as jsonb). Agents do print both, so both become U+FFFD.
 */
export function wellFormedText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

/**
 * Converts all strings of a JSON value, including keys, as `wellFormedText` does. Returns the value itself if no string
 * may need a replacement. Otherwise returns a copy, even if nothing needed a replacement: for example, if a text
 * contains the six characters `\u0000`.
 */
export function wellFormed<T>(value: T): T {
  // JSON.stringify writes U+0000 and lone surrogates as \uXXXX escapes, so one search of its output finds whether a
  // string may need a replacement.
  return /\\u(?:0000|d[89a-f])/i.test(JSON.stringify(value) ?? '') ? (cleaned(value) as T) : value;
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return wellFormedText(value);
  if (Array.isArray(value)) return value.map(cleaned);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [wellFormedText(key), cleaned(inner)]));
}
