/**
 * Makes the note on ignored files. A change does not contain ignored files, so the note names those that the agent
 * wrote. A new worktree has no ignored files. A parked worktree has the ignored files of earlier tasks; a list in the
 * worktree's entry names them, so that the note omits them.
 */
import { readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { orAbsentSync } from './repository.ts';
import { writeWhole } from '../processes/whole-file.ts';

const listOf = (adminDir: string): string => path.join(adminDir, 'longhaul-ignored');
const draftOf = (adminDir: string): string => `${listOf(adminDir)}-now`;

/** Returns the names of the ignored files and folders that the worktree had when its task began. */
export function earlierIgnored(adminDir: string): ReadonlySet<string> {
  const text = orAbsentSync(() => readFileSync(listOf(adminDir), 'utf8'));
  return new Set(text?.split('\0'));
}

/**
 * Writes the list of the ignored files that the worktree has now. After `keepIgnored` the next task reads this list as
 * that of the earlier files.
 */
export const writeIgnored = (adminDir: string, names: readonly string[]): void =>
  writeWhole(draftOf(adminDir), names.join('\0'));

/** Makes the list that `writeIgnored` wrote the list of the earlier files. Does nothing if there is no such list. */
export function keepIgnored(adminDir: string): void {
  orAbsentSync(() => renameSync(draftOf(adminDir), listOf(adminDir)));
}

const NAMED_LIMIT = 5;

/**
 * Returns the note, or an empty list if there are no ignored files. A folder that git ignores as a whole ends with a
 * slash and counts as one file.
 */
export function noteOnIgnored(ignored: readonly string[]): string[] {
  if (ignored.length === 0) return [];
  const named = ignored.slice(0, NAMED_LIMIT).join(', ');
  const more = ignored.length > NAMED_LIMIT ? ` and ${ignored.length - NAMED_LIMIT} more` : '';
  const folders = ignored.filter((name) => name.endsWith('/')).length;
  const files = ignored.length - folders;
  const counts = [counted(files, 'file'), counted(folders, 'folder')].filter((one) => one !== '').join(' and ');
  return [`${counts} ${ignored.length === 1 ? 'was' : 'were'} left out of the change: ${named}${more}.`];
}

function counted(count: number, what: string): string {
  return count === 0 ? '' : `${count} ignored ${what}${count === 1 ? '' : 's'}`;
}
