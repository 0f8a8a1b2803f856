/** A frame's body as the log stores it: JSON that Postgres accepts, with a size limit that every reader can rely on. */
import { wellFormed } from './well-formed.ts';
import { head } from '../contract/cut-text.ts';
import type { ToolCall } from '../contract/vocabulary.ts';
import { type FrameBody, MAX_FRAME_BYTES } from '../contract/frame.ts';

/** Room for the fields of every frame beside its body: type, ids, number, time. */
const ENVELOPE_BYTES = 512;
const MAX_BODY_BYTES = MAX_FRAME_BYTES - ENVELOPE_BYTES;
/** Worst case in JSON is six bytes a character. */
const SHORT_CHARS = 8 * 1024;

export interface StoredBody {
  readonly type: FrameBody['type'];
  /** The body without its type, which has a column of its own. */
  readonly json: string;
}

/**
 * Code that emits frames cuts them to size, because it knows which content matters; this is the last check, which must not
 * fail a turn. Content that cannot be shortened is left out, and a warning reports it.
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

/** The name and the status of the call, without its input and output. */
function outline({ tool_call_id, title, kind, status }: ToolCall): ToolCall {
  return { tool_call_id, title: head(title, 500), kind, status, locations: [], content: [] };
}
