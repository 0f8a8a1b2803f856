import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Entry, entriesOf } from '../../../agents/native/conversation.ts';
import { fitContext, newestThatFit, sizeOf, partToSummarize } from '../../../agents/native/fit-context.ts';
import { Journal } from '../../../agents/native/journal.ts';

let folder: string;
let journal: Journal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longhaul-journal-'));
  journal = Journal.create(folder, '/work');
});
afterEach(() => {
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});

const size = (entries: readonly Entry[]): number => entries.reduce((sum, entry) => sum + sizeOf(entry), 0);

/** A turn of so many steps with a read each. */
function work(steps: number, outputChars: number): void {
  journal.append({ type: 'user', turn: 1, text: 'Fix the test.' });
  for (let step = 0; step < steps; step += 1) {
    const call = { id: `c${step}`, name: 'read', input: `{"path":"f${step}"}` };
    journal.append({ type: 'step', turn: 1, model: 'local/m', text: `Step ${step}.`, reasoning: [], calls: [call], usage: { input: 1, output: 1 }, finish: 'tool_calls' }); // prettier-ignore
    journal.append({ type: 'result', call: call.id, ok: true, output: `${step} `.repeat(outputChars / 2) });
  }
}

test('a conversation that fits is unchanged', () => {
  work(3, 100);
  const entries = entriesOf(journal.records);
  expect(fitContext(entries, 10_000)).toEqual({ entries, fits: true });
});

test('old tool results are shortened first, the newest stay complete', () => {
  work(20, 2_000);
  const entries = entriesOf(journal.records);
  const fitted = fitContext(entries, 20_000);
  expect(fitted.fits).toBe(true);
  expect(size(fitted.entries)).toBeLessThanOrEqual(20_000);
  expect(fitted.entries.at(-1)).toEqual(entries.at(-1));
  expect(JSON.stringify(fitted.entries[2])).toContain('of this old result are left out');
});

test('a summary replaces complete steps, and the entries after it begin with a step or a user message', () => {
  work(20, 2_000);
  const old = partToSummarize(journal.records, 2_000);
  expect(old?.text.length).toBeLessThanOrEqual(1_000);
  journal.append({
    type: 'summary',
    turn: 1,
    replaces: old?.replaces ?? 0,
    text: 'Half is done.',
    usage: { input: 1, output: 1 },
  });
  const [summary, next] = entriesOf(journal.records);
  expect(summary).toMatchObject({ kind: 'user', text: expect.stringContaining('Half is done.') });
  expect(next?.kind).toBe('assistant');
  // Nothing new: the same summary is not made twice.
  expect(partToSummarize(journal.records.slice(0, -1), 2_000)?.replaces).toBe(old?.replaces);
  expect(partToSummarize(journal.records, 2_000)?.replaces ?? 0).toBeGreaterThanOrEqual(0);
});

test('as a last resort the newest entries that fit are kept, at least one', () => {
  work(20, 2_000);
  expect(size(newestThatFit(journal.records, 1_000))).toBeLessThanOrEqual(1_000);
  expect(newestThatFit(journal.records, 1)).toHaveLength(1);
});
