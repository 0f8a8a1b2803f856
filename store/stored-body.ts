/**
 * Converts a frame's body to the form that the log stores: JSON that Postgres accepts, not larger than the limit on
 * which every reader relies.
 */
import { wellFormed } from './well-formed.ts';
import { head } from '../contract/cut-text.ts';
import type { ToolCall } from '../contract/vocabulary.ts';
import { type FrameBody, MAX_FRAME_BYTES } from '../contract/frame.ts';

/** The size that is reserved for the fields of every frame beside its body: type, ids, number, time. */
const ENVELOPE_BYTES = 512;
const MAX_BODY_BYTES = MAX_FRAME_BYTES - ENVELOPE_BYTES;
/** The maximum length of a shortened text. In JSON a character takes at most six bytes. */
const SHORT_CHARS = 8 * 1024;

export interface StoredBody {
  readonly type: FrameBody['type'];
  /** The body without its type, because the type has a column of its own. */
  readonly json: string;
}

/**
 * Returns the body as JSON within the size limit. The code that emits a frame cuts it, because that code knows which
 * content matters. This function is the last check and must not fail a turn. If the content cannot be shortened, a
 * warning replaces the frame.
 */
export function storedBody(body: FrameBody): StoredBody {
  const whole = stored(body);
  if (fits(whole)) return whole;
  const short = shortened(body);
  const cut = short && stored(short);
  if (cut && fits(cut)) return cut;
  const message = `A frame "${body.type}" of ${whole.json.length} characters was too large for the log and left out.`;
  return stored({ type: 'warning', message });
}

function stored(body: FrameBody): StoredBody {
  const { type, ...fields } = body;
  return { type, json: JSON.stringify(wellFormed(fields)) };
}

const fits = ({ json }: StoredBody): boolean =>
  json.length * 3 <= MAX_BODY_BYTES || Buffer.byteLength(json) <= MAX_BODY_BYTES;

function shortened(body: FrameBody): FrameBody | undefined {
  switch (body.type) {
    case 'tool_call':
      return { ...body, call: outline(body.call) };
    case 'message':
      return { ...body, content: head(body.content, SHORT_CHARS) };
    case 'warning':
      return { ...body, message: head(body.message, SHORT_CHARS) };
    default:
      return undefined;
  }
}

/** Returns the tool call with its title, kind and status, without its input and output. */
function outline({ tool_call_id, title, kind, status }: ToolCall): ToolCall {
  return { tool_call_id, title: head(title, 500), kind, status, locations: [], content: [] };
}
