/**
 * Makes a conversation fit the context of its model. Old tool results are shortened first, because the model can run
 * the tool again. If that is not enough, the old part of the conversation must be summarized. Pure.
 */
import { head, tail } from '../../contract/cut-text.ts';
import { type Entry, entriesOf, entriesOfRecord } from './conversation.ts';
import type { JournalRecord } from './records.ts';

/** English text and code have about 4 characters for each token. 3 is used so that the estimate is rather too high. */
const CHARS_PER_TOKEN = 3;
/** The share of the context that is reserved for the system prompt, the tools and the reply. */
const RESERVED_SHARE = 0.25;
/** The number of newest entries that `fitContext` never shortens. */
const FRESH_ENTRIES = 6;
const SHORT_RESULT_CHARS = 300;
/** How many of the newest records a summary does not replace. */
const KEPT_RECORDS = 8;

/** Returns how many characters of conversation fit a context of this many tokens. */
export const budgetChars = (contextTokens: number): number =>
  Math.floor(contextTokens * (1 - RESERVED_SHARE)) * CHARS_PER_TOKEN;

/** Returns the size of an entry in characters, as the model gets it. */
export function sizeOf(entry: Entry): number {
  switch (entry.kind) {
    case 'user':
      return entry.text.length;
    case 'result':
      return entry.output.length;
    case 'assistant': {
      const reasoning = entry.reasoning.reduce((sum, { text }) => sum + text.length, 0);
      return entry.text.length + reasoning + entry.calls.reduce((sum, call) => sum + call.input.length, 0);
    }
  }
}

const sizeOfAll = (entries: readonly Entry[]): number => entries.reduce((sum, entry) => sum + sizeOf(entry), 0);

function shortened(text: string): string {
  if (text.length <= SHORT_RESULT_CHARS) return text;
  const half = SHORT_RESULT_CHARS / 2;
  const left = text.length - SHORT_RESULT_CHARS;
  return `${head(text, half)}\n[${left} characters of this old result are left out; run the tool again to see them]\n${tail(text, half)}`;
}

/** Shortens old tool results until the entries fit. `fits` is false if shortening was not enough. */
export function fitContext(entries: readonly Entry[], budget: number): { entries: Entry[]; fits: boolean } {
  const fitted = [...entries];
  let size = sizeOfAll(fitted);
  for (let index = 0; size > budget && index < fitted.length - FRESH_ENTRIES; index += 1) {
    const entry = fitted[index];
    if (entry?.kind !== 'result') continue;
    const short = { ...entry, output: shortened(entry.output) };
    size -= sizeOf(entry) - sizeOf(short);
    fitted[index] = short;
  }
  return { entries: fitted, fits: size <= budget };
}

export interface PartToSummarize {
  /** How many records, counted from the first one, the summary replaces. */
  readonly replaces: number;
  /** The text of these records, cut to half of the budget. */
  readonly text: string;
}

/**
 * Returns the oldest part of the conversation, which a summary is to replace. Returns `undefined` if no record is old
 * enough.
 */
export function partToSummarize(records: readonly JournalRecord[], budget: number): PartToSummarize | undefined {
  let replaces = records.length - KEPT_RECORDS;
  // The kept part must begin with a user's text or with a step, because a result without its call is invalid.
  while (replaces > 0 && !['user', 'step'].includes(records[replaces]?.type ?? '')) replaces -= 1;
  const entries = entriesOf(records.slice(0, Math.max(0, replaces)));
  const before = records.findLast((record) => record.type === 'summary')?.replaces ?? 0;
  if (entries.length < 2 || replaces <= before) return undefined;
  const lines = entries.map((entry) =>
    lineOf(entry.kind === 'result' ? { ...entry, output: shortened(entry.output) } : entry),
  );
  return { replaces, text: tail(lines.join('\n\n'), Math.floor(budget / 2)) };
}

function lineOf(entry: Entry): string {
  switch (entry.kind) {
    case 'user':
      return `User: ${entry.text}`;
    case 'assistant':
      return [`Assistant: ${entry.text}`, ...entry.calls.map(({ name, input }) => `Call: ${name} ${head(input, 1_000)}`)].join('\n'); // prettier-ignore
    case 'result':
      return `Result: ${entry.output}`;
  }
}

/**
 * Returns the newest entries that fit, each tool result shortened. Used if the conversation does not fit even after it
 * was summarized.
 */
export function newestThatFit(records: readonly JournalRecord[], budget: number): Entry[] {
  const entries = records.flatMap(entriesOfRecord);
  const kept: Entry[] = [];
  let size = 0;
  for (const entry of entries.toReversed()) {
    const short = entry.kind === 'result' ? { ...entry, output: shortened(entry.output) } : entry;
    size += sizeOf(short);
    if (size > budget && kept.length > 0) break;
    kept.unshift(short);
  }
  return kept;
}
