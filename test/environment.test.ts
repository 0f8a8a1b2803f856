/**
 * Settings are read once, where a program starts, and passed on as values. A module that reads the environment by itself
 * could not be given other settings by a test, a second home or the supervisor.
 */
import { expect, test } from 'vitest';
import { areaOf } from './lab/boundaries.ts';
import { readSources } from './lab/sources.ts';

/** Where a program starts. The command line as a whole: it also reads what describes its terminal. */
const ENTRY_POINTS = new Set([
  'worker.ts',
  'backend/main.ts',
  'cli',
  'agents/demo/session-store.ts',
  'agents/terminal/main.ts',
  'agents/native/main.ts',
]);

/** Modules that pass variables of the operating system on to the programs that they start: PATH, HOME, proxies. No settings. */
const PASS_ON = [
  'processes/runner.ts',
  'services/postgres/postgres.ts',
  'services/temporal/temporal.ts',
  'worktrees/git.ts',
  'worktrees/lfs.ts',
  'worktrees/special-files.ts',
];

const isEntryPoint = (file: string): boolean => ENTRY_POINTS.has(file) || ENTRY_POINTS.has(areaOf(file));
const readersOf = (pattern: RegExp): string[] =>
  [...readSources()].flatMap(([file, source]) => (pattern.test(source) && !isEntryPoint(file) ? [file] : []));

test('only entry points read the environment, and modules that pass PATH on', () => {
  expect(readersOf(/\bprocess\s*(\.|\[')env\b|import .*\benv\b.* from 'node:process'/).sort()).toEqual(PASS_ON);
});

test('only entry points parse the settings; doctor reports each wrong one as a check', () => {
  const parsers = readersOf(/\bimport \{[^}]*\breadSettings\b[^}]*\} from '[^']*services\/settings\.ts'/);
  expect(parsers).toEqual(['maintenance/doctor/doctor.ts']);
});
