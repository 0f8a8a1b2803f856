/**
 * Reads the agent's stdout as messages, one JSON object a line. Other output of the program is garbage. This reader is
 * in front of the SDK's stream, because the SDK answers garbage with error responses and has no backpressure.
 *
 * The reader holds at most one line (16 MB) in memory, and it reads only as fast as its consumer.
 */
import { head } from '../../contract/cut-text.ts';
import { LonghaulError } from '../../contract/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const LINE_LIMIT_BYTES = 16 * 1024 * 1024;
const KEPT_GARBAGE_LINES = 20;
const KEPT_GARBAGE_CHARACTERS = 300;
const NEWLINE = 0x0a;

/**
 * The first lines of the agent's output that were no messages. They often contain the reason why the agent does not
 * start.
 */
export interface Garbage {
  lines: string[];
  dropped: number;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // not JSON: the caller drops it
  }
}

/**
 * Parses a line that is a message or ends with one. Returns `undefined` if the line contains no message. Some agents
 * print other text in front of a message, without a newline.
 */
export function parseLine(line: string): JsonObject | undefined {
  const text = line.replaceAll('\0', '\uFFFD');
  const start = text.startsWith('{') ? 0 : text.indexOf('{"jsonrpc"');
  return start === -1 ? undefined : parse(text.slice(start));
}

/**
 * Yields the lines without their line ends. It decodes whole lines only, because a character may be split between two
 * chunks.
 */
async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder(); // drops a byte order mark; invalid bytes become U+FFFD
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const grow = (part: Uint8Array): void => {
    pendingBytes += part.length;
    if (pendingBytes > LINE_LIMIT_BYTES) {
      const message =
        'The agent sent a line of more than 16 MB, the limit for a message; Longhaul ended its turn. What it had written ' +
        'until then is kept. This is a fault of the agent: narrow the task down, or name another agent.';
      throw new LonghaulError('output_overflow', message);
    }
    if (part.length > 0) pending.push(part);
  };
  const take = (): string => {
    const line = decoder.decode(Buffer.concat(pending)).trim();
    pending = [];
    pendingBytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      grow(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    grow(chunk.subarray(start));
  }
  if (pendingBytes > 0) yield take();
}

/** Yields the messages in order, and adds other lines to `garbage`. Fails with `output_overflow`. */
export async function* messages(chunks: AsyncIterable<Uint8Array>, garbage: Garbage): AsyncGenerator<JsonObject> {
  for await (const line of lines(chunks)) {
    if (line === '') continue;
    const message = parseLine(line);
    if (message !== undefined) {
      yield message;
      continue;
    }
    garbage.dropped += 1;
    if (garbage.lines.length < KEPT_GARBAGE_LINES) garbage.lines.push(head(line, KEPT_GARBAGE_CHARACTERS));
  }
}
