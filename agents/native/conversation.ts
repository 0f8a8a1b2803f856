/** Reads from the records of a session's journal the conversation for the model and the state of the turn. Pure. */
import type { BeginRecord, JournalRecord, Reasoning, StepRecord, TokenUsage, ToolCall } from './records.ts';

export type Entry =
  | { readonly kind: 'user'; readonly text: string }
  | {
      readonly kind: 'assistant';
      readonly model: string;
      readonly text: string;
      readonly reasoning: readonly Reasoning[];
      readonly calls: readonly ToolCall[];
      /**
       * The state of an incomplete reply; `undefined` if the reply is complete. A reply that failed or did not end is
       * not sent to a model.
       */
      readonly state?: 'failed' | 'streaming';
    }
  | { readonly kind: 'result'; readonly call: string; readonly ok: boolean; readonly output: string };

const SUMMARY = 'The conversation so far was too long and is replaced by this summary:\n\n';

/** Returns the entries in order. The newest summary replaces the records before it. */
export function entriesOf(records: readonly JournalRecord[]): Entry[] {
  const summary = records.findLast((record) => record.type === 'summary');
  const rest = records.slice(summary?.replaces ?? 0).flatMap(entriesOfRecord);
  return summary ? [{ kind: 'user', text: SUMMARY + summary.text }, ...rest] : rest;
}

/** Returns the entry for one record, or no entry for a record that is not a part of the conversation. */
export function entriesOfRecord(record: JournalRecord): Entry[] {
  switch (record.type) {
    case 'user':
      return [{ kind: 'user', text: record.text }];
    case 'step': {
      const { model, text, reasoning, calls } = record;
      return [{ kind: 'assistant', model, text, reasoning, calls }];
    }
    case 'result': {
      const { call, ok, output } = record;
      return [{ kind: 'result', call, ok, output }];
    }
    case 'session':
    case 'settings':
    case 'begin':
    case 'summary':
    case 'end':
      return [];
  }
}

export interface JournalTurn {
  readonly number: number;
  readonly text: string;
  readonly ended: boolean;
  readonly steps: readonly StepRecord[];
}

/** Returns the newest turn, or `undefined` if the session has none. */
export function lastTurn(records: readonly JournalRecord[]): JournalTurn | undefined {
  const user = records.findLast((record) => record.type === 'user');
  if (user === undefined) return undefined;
  const steps = records.filter((record) => record.type === 'step').filter(({ turn }) => turn === user.turn);
  const ended = records.some((record) => record.type === 'end' && record.turn === user.turn);
  return { number: user.turn, text: user.text, ended, steps };
}

export interface OpenCall {
  readonly call: ToolCall;
  /** Present if the tool was started, or may have been started. */
  readonly begun?: BeginRecord;
}

/** Returns the calls without a result, of all steps, in order. */
export function openCalls(records: readonly JournalRecord[]): OpenCall[] {
  const answered = new Set(records.flatMap((record) => (record.type === 'result' ? [record.call] : [])));
  const begun = new Map(records.flatMap((record) => (record.type === 'begin' ? [[record.call, record] as const] : [])));
  return records
    .flatMap((record) => (record.type === 'step' ? record.calls : []))
    .filter(({ id }) => !answered.has(id))
    .map((call) => ({ call, ...(begun.has(call.id) ? { begun: begun.get(call.id) } : {}) }));
}

/** Returns how many consecutive calls, up to and including this one, have the same tool and arguments. */
export function consecutiveEqualCalls(records: readonly JournalRecord[], { id }: ToolCall): number {
  const calls = records.flatMap((record) => (record.type === 'step' ? record.calls : []));
  const at = calls.findIndex((call) => call.id === id);
  const same = (call: ToolCall | undefined): boolean =>
    call !== undefined && call.name === calls[at]?.name && call.input === calls[at]?.input;
  let times = 0;
  while (same(calls[at - times])) times += 1;
  return times;
}

/** Returns the sum of the tokens that the steps and the summaries of this turn used. */
export function usageOf(records: readonly JournalRecord[], turn: number): TokenUsage {
  let [input, output] = [0, 0];
  for (const record of records) {
    if ((record.type !== 'step' && record.type !== 'summary') || record.turn !== turn) continue;
    input += record.usage.input;
    output += record.usage.output;
  }
  return { input, output };
}

export interface Settings {
  readonly mode?: string;
  readonly model?: string;
  readonly thinking?: string;
}

/** Returns the settings that apply now: for each setting the newest record that names it. */
export function settingsOf(records: readonly JournalRecord[]): Settings {
  const merged: { mode?: string; model?: string; thinking?: string } = {};
  for (const record of records) {
    if (record.type !== 'settings') continue;
    const { type: _type, ...settings } = record;
    Object.assign(merged, settings);
  }
  return merged;
}
