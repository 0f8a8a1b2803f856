/**
 * Keeps tool calls as complete snapshots. An agent sends a call and then partial updates, or updates only; readers get
 * the whole call each time, cut to a size that fits a frame.
 */
import { head } from '../../contract/cut-text.ts';
import type { ToolCall, ToolCallContent } from '../driver.ts';
import { isObject, type JsonObject } from './lines.ts';
import { cleanJson, cleanText, cutText } from './text.ts';

/** Limit of a snapshot's JSON. A frame has at most 64 KB and contains more than the snapshot. */
const SNAPSHOT_LIMIT_BYTES = 48 * 1024;
/** Limit of one text in a snapshot. It is halved until the whole snapshot fits. */
const TEXT_LIMIT_BYTES = 16 * 1024;
const TEXT_FLOOR_BYTES = 64;
const TITLE_LIMIT = 300;
const LIST_LIMIT = 100;
/**
 * If more calls than this are known, finished calls are removed, the oldest first. Until then a finished call is kept,
 * because an update of it may still follow.
 */
const KEPT_FINISHED = 200;
/** The most calls that are kept. An agent that never ends its calls must not fill the worker's memory. */
const KEPT = 1_000;

const STATUSES = ['pending', 'in_progress', 'completed', 'failed'] as const;
const isStatus = (value: unknown): value is ToolCall['status'] => STATUSES.some((status) => status === value);
const isFinished = (call: ToolCall): boolean => call.status === 'completed' || call.status === 'failed';

const text = (value: unknown): string | undefined => (typeof value === 'string' ? cleanText(value) : undefined);

/**
 * Returns the text of a content block. For a block that is not text, it returns a link or the name of the block's type.
 */
export function blockText(block: unknown): string {
  if (!isObject(block)) return '';
  const mime = text(block['mimeType']);
  switch (block['type']) {
    case 'text':
      return text(block['text']) ?? '';
    case 'resource_link':
      return `[${text(block['name']) ?? 'link'}](${text(block['uri']) ?? ''})`;
    case 'resource': {
      const resource = isObject(block['resource']) ? block['resource'] : {};
      return text(resource['text']) ?? `[resource ${text(resource['uri']) ?? ''}]`;
    }
    default:
      return `[${[text(block['type']) ?? 'content', mime].filter(Boolean).join(' ')}]`;
  }
}

function contentOf(entry: unknown): ToolCallContent {
  if (!isObject(entry)) return { type: 'other', json: JSON.stringify(cleanJson(entry)) };
  const path = text(entry['path']);
  const newText = text(entry['newText']);
  const terminal = text(entry['terminalId']);
  if (entry['type'] === 'content') return { type: 'text', text: blockText(entry['content']) };
  if (entry['type'] === 'diff' && path !== undefined && newText !== undefined) {
    const oldText = text(entry['oldText']);
    return { type: 'diff', path, ...(oldText === undefined ? {} : { old_text: oldText }), new_text: newText };
  }
  if (entry['type'] === 'terminal' && terminal !== undefined) return { type: 'terminal', terminal_id: terminal };
  return { type: 'other', json: JSON.stringify(cleanJson(entry)) };
}

function locationOf(entry: unknown): ToolCall['locations'][number][] {
  const path = isObject(entry) ? text(entry['path']) : undefined;
  if (!isObject(entry) || path === undefined) return [];
  const line = entry['line'];
  return [{ path: head(path, 4096), ...(typeof line === 'number' ? { line } : {}) }];
}

function cutContent(content: ToolCallContent, limit: number): ToolCallContent {
  switch (content.type) {
    case 'text':
      return { type: 'text', text: cutText(content.text, limit) };
    case 'diff': {
      const { path, old_text, new_text } = content;
      const old = old_text === undefined ? {} : { old_text: cutText(old_text, limit) };
      return { type: 'diff', path: head(path, 4096), ...old, new_text: cutText(new_text, limit) };
    }
    case 'terminal':
      return { type: 'terminal', terminal_id: head(content.terminal_id, 200) };
    case 'other':
      return { type: 'other', json: cutText(content.json, limit) };
  }
}

/** Returns the value, or the beginning of its JSON as text if the JSON is too long. */
function cutJson(value: unknown, limit: number): unknown {
  if (value === undefined) return undefined;
  const json = JSON.stringify(value);
  return Buffer.byteLength(json) <= limit ? value : cutText(json, limit);
}

function cutCall(call: ToolCall, limit: number): ToolCall {
  // Keeps the newest entries of the content, because they show most of the call's state.
  const count = Math.max(1, Math.floor((LIST_LIMIT * limit) / TEXT_LIMIT_BYTES));
  return {
    ...call,
    title: head(call.title, TITLE_LIMIT),
    locations: call.locations.slice(0, count),
    content: call.content.slice(-count).map((content) => cutContent(content, limit)),
    ...(call.raw_input === undefined ? {} : { raw_input: cutJson(call.raw_input, limit) }),
    ...(call.raw_output === undefined ? {} : { raw_output: cutJson(call.raw_output, limit) }),
  };
}

/** Cuts the call's texts until its JSON fits a frame. */
export function fitCall(call: ToolCall): ToolCall {
  for (let limit = TEXT_LIMIT_BYTES; ; limit /= 2) {
    const cut = cutCall(call, limit);
    if (limit <= TEXT_FLOOR_BYTES || Buffer.byteLength(JSON.stringify(cut)) <= SNAPSHOT_LIMIT_BYTES) return cut;
  }
}

function merge(known: ToolCall | undefined, id: string, update: JsonObject): ToolCall {
  const { content, locations, status, rawInput, rawOutput } = update;
  const input = rawInput === undefined || rawInput === null ? known?.raw_input : cleanJson(rawInput);
  const output = rawOutput === undefined || rawOutput === null ? known?.raw_output : cleanJson(rawOutput);
  return {
    tool_call_id: id,
    title: text(update['title']) ?? known?.title ?? text(update['name']) ?? 'Tool call',
    kind: text(update['kind']) ?? known?.kind ?? 'other',
    status: isStatus(status) ? status : (known?.status ?? 'pending'),
    locations: Array.isArray(locations) ? locations.flatMap(locationOf) : (known?.locations ?? []),
    content: Array.isArray(content) ? content.map(contentOf) : (known?.content ?? []),
    ...(input === undefined ? {} : { raw_input: input }),
    ...(output === undefined ? {} : { raw_output: output }),
  };
}

const isShorter = (cut: ToolCall, whole: ToolCall): boolean =>
  cut.locations.length < whole.locations.length || cut.content.length < whole.content.length;

/** The tool calls of one agent session. */
export class ToolCallLedger {
  readonly #calls = new Map<string, ToolCall>();
  /** Ids of the calls that this session opened and that have not finished. Calls of a replay are not included. */
  readonly #open = new Set<string>();
  /** Ids of the calls whose lists of paths or contents were cut. */
  readonly #cut = new Set<string>();

  /**
   * Applies a `tool_call` or `tool_call_update`, and returns the whole call. Returns `undefined` if the update names no
   * id.
   */
  update(update: JsonObject, replayed = false): ToolCall | undefined {
    const id = head(text(update['toolCallId']) ?? '', 200);
    if (id === '') return undefined;
    const whole = merge(this.#calls.get(id), id, update);
    const call = fitCall(whole);
    if (isShorter(call, whole)) this.#cut.add(id);
    this.#calls.delete(id); // moves the call to the end of the map's order, as the newest
    this.#calls.set(id, call);
    if (isFinished(call)) this.#open.delete(id);
    else if (!replayed) this.#open.add(id);
    this.#forget();
    return call;
  }

  /** Returns the current state of the call that a permission request is about. */
  find(asked: unknown): ToolCall {
    const update = isObject(asked) ? asked : {};
    const id = head(text(update['toolCallId']) ?? '', 200);
    return this.#calls.get(id) ?? fitCall(merge(undefined, id, update));
  }

  /** Returns whether the agent named more paths or contents than the call from `find` contains. */
  isCut(call: ToolCall): boolean {
    return this.#cut.has(call.tool_call_id) || !this.#calls.has(call.tool_call_id);
  }

  /** Returns the newest call that is open. */
  openCall(): ToolCall | undefined {
    const id = [...this.#open].at(-1);
    return id === undefined ? undefined : this.#calls.get(id);
  }

  /**
   * Marks the calls that the turn left open as failed, and returns them. Calls that a replay left open do not belong to
   * this turn and are not changed.
   */
  closeOpen(): ToolCall[] {
    const left = [...this.#open].flatMap((id) => this.#calls.get(id) ?? []);
    const closed = left.map((call): ToolCall => ({ ...call, status: 'failed' }));
    for (const call of closed) this.#calls.set(call.tool_call_id, call);
    this.#open.clear();
    return closed;
  }

  #forget(): void {
    for (const [id, call] of this.#calls) {
      if (this.#calls.size <= KEPT_FINISHED) return;
      if (!isFinished(call) && this.#calls.size <= KEPT) continue;
      this.#calls.delete(id);
      this.#open.delete(id);
      this.#cut.delete(id);
    }
  }
}
