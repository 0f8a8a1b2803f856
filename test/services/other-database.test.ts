import { expect, test } from 'vitest';
import { readSettings } from '../../services/settings.ts';
import { otherDatabaseNote } from '../../services/status.ts';

const USED = 'postgres://longhaul:sesame@127.0.0.1:5433/longhaul';
const noteOf = (wanted: string | undefined, used: string | null = USED): string | undefined =>
  otherDatabaseNote(readSettings({ HOME: '/home/ada', ...(wanted !== undefined && { DATABASE_URL: wanted }) }), used);

test('in a shell with another DATABASE_URL than the running services a note has both addresses, without passwords', () => {
  const note = noteOf('postgres://ada:secret@db.example/tasks');
  expect(note).toContain('postgres://ada@db.example/tasks');
  expect(note).toContain('postgres://longhaul@127.0.0.1:5433/longhaul');
  expect(note).not.toMatch(/secret|sesame|\n/);
});

test.each([
  ['none', undefined, USED],
  ['the same with another user and password', 'postgresql://ada:secret@127.0.0.1:5433/longhaul', USED],
  ['the same with the default port', 'postgres://db.example:5432/tasks', 'postgres://db.example/tasks'],
  ['one, while no service is known', 'postgres://db.example/tasks', null],
])('there is no note for %s', (_what, wanted, used) => {
  expect(noteOf(wanted, used)).toBeUndefined();
});
