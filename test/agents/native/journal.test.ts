import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal, removeOldJournals } from '../../../agents/native/journal.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longhaul-journal-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const user = (turn: number) => ({ type: 'user', turn, text: `turn ${turn} 🎉` }) as const;

function written(): { id: string; file: string; length: number } {
  const journal = Journal.create(folder, '/work');
  journal.append(user(1));
  journal.append(user(2));
  journal.close();
  const file = join(folder, `${journal.id}.jsonl`);
  return { id: journal.id, file, length: readFileSync(file).length };
}

const turns = (journal: Journal | undefined) =>
  journal?.records.flatMap((record) => (record.type === 'user' ? [record.turn] : []));

test('truncated at any byte, a journal has its complete records and accepts further ones', () => {
  const { id, file, length } = written();
  const whole = readFileSync(file);
  const secondEnds = whole.lastIndexOf('\n', length - 2) + 1;
  for (let at = secondEnds; at < length; at += 1) {
    writeFileSync(file, whole.subarray(0, at));
    const torn = Journal.open(folder, { id, cwd: '/work' });
    expect(turns(torn)).toEqual([1]);
    torn?.append(user(3));
    torn?.close();
    const again = Journal.open(folder, { id, cwd: '/work' });
    expect(turns(again)).toEqual([1, 3]);
    again?.close();
  }
});

test('zeros that a power cut left at the end are cut off; damage before the last line is an error', () => {
  const { id, file, length } = written();
  appendFileSync(file, Buffer.alloc(100));
  const journal = Journal.open(folder, { id, cwd: '/work' });
  expect(turns(journal)).toEqual([1, 2]);
  journal?.close();
  truncateSync(file, length);
  writeFileSync(file, readFileSync(file, 'utf8').replace('"user","turn":1', '"user""turn":1'));
  expect(() => Journal.open(folder, { id, cwd: '/work' })).toThrow(/expected a JSON record in line 2/);
});

test('a session of another folder, an unknown id and a path are refused', () => {
  const { id } = written();
  expect(Journal.open(folder, { id, cwd: '/elsewhere' })).toBeUndefined();
  expect(Journal.open(folder, { id: '00000000-0000-0000-0000-000000000000', cwd: '/work' })).toBeUndefined();
  expect(Journal.open(folder, { id: `../${id}`, cwd: '/work' })).toBeUndefined();
});

test('sessions that were not used for 30 days are removed', () => {
  const { id, file } = written();
  const old = written();
  utimesSync(old.file, 0, 0);
  removeOldJournals(folder);
  expect(Journal.open(folder, { id: old.id, cwd: '/work' })).toBeUndefined();
  expect(Journal.open(folder, { id, cwd: '/work' })?.records).toHaveLength(3);
  expect(readFileSync(file, 'utf8')).toContain('turn 2');
});
