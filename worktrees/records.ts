/**
 * Records of worktrees: facts that git does not store, such as the task, the base commit and the progress. A record is
 * a file beside the locks. It is not in the worktree, because it would become part of the change, and not in the user's
 * repository. It is written before the worktree is created, so that an incomplete worktree is recognised as ours.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../processes/whole-file.ts';
import { identitySchema } from './identity.ts';
import { orAbsentSync, orAbsent } from './repository.ts';
import { lockFileName } from './repository-lock.ts';

const recordSchema = z.object({
  worktreePath: z.string(),
  topLevel: z.string(),
  commonDir: z.string(),
  base: z.string(),
  owner: z.string().optional(),
  /** The identity of the worktree's folder, recorded once the worktree is complete. */
  identity: identitySchema.optional(),
  /** True if the home was moved to another file system, so that the folder is a copy and has another identity. */
  isCopy: z.boolean().optional(),
  /**
   * `making`: the worktree is being created, created again or removed, so the content of the folder does not count.
   * `ready`: an agent may have worked in the worktree. `collected`: all files of the worktree are stored in the
   * repository. `parked`: the worktree waits for the session's next task (park.ts), and `owner` is the last task that
   * used it.
   */
  state: z.enum(['making', 'ready', 'collected', 'parked']),
  /**
   * For a collected worktree: the commit whose files the folder has, apart from ignored files. Absent if the folder has
   * something that the next task must not find (collect.ts).
   */
  holds: z.string().optional(),
  parked: z
    .object({
      /** The time at which the worktree was parked, in milliseconds since 1970. */
      since: z.number(),
      /** The inode, size and time of the entry's index file, by which a later change of the index is found. */
      index: z.string(),
      /** The refs of the mirror when the worktree was parked. The worktree's own repository has the same refs. */
      refs: z.string(),
      /** A hash of the settings and rules by which git wrote the files and ignores others. */
      rules: z.string(),
    })
    .optional(),
});
export type WorktreeRecord = z.infer<typeof recordSchema>;

const SUFFIX = '.worktree.json';

const fileOf = (locksDir: string, worktreePath: string): string =>
  path.join(locksDir, `${lockFileName(worktreePath)}${SUFFIX}`);

/**
 * Returns the worktree's record. Returns undefined if this home never created the worktree or has removed it, or if the
 * record is unreadable after a power cut.
 */
export function readRecord(locksDir: string, worktreePath: string): WorktreeRecord | undefined {
  const record = readFrom(fileOf(locksDir, worktreePath));
  return record?.worktreePath === worktreePath ? record : undefined;
}

/**
 * Returns the worktree that belongs to `owner`. The path does not identify the worktree, because a later task of the
 * session may have a worktree at the same path.
 */
export async function findOwned(locksDir: string, owner: string): Promise<WorktreeRecord | undefined> {
  for await (const record of eachRecord(locksDir)) if (record.owner === owner) return record;
  return undefined;
}

/** Lists all worktrees that this home created and has not removed. */
export async function listRecords(locksDir: string): Promise<WorktreeRecord[]> {
  const records: WorktreeRecord[] = [];
  for await (const record of eachRecord(locksDir)) records.push(record);
  return records;
}

async function* eachRecord(locksDir: string): AsyncGenerator<WorktreeRecord> {
  const names = (await orAbsent(readdir(locksDir))) ?? [];
  for (const name of names.filter((one) => one.endsWith(SUFFIX))) {
    const record = readFrom(path.join(locksDir, name));
    if (record) yield record;
  }
}

function readFrom(file: string): WorktreeRecord | undefined {
  const text = orAbsentSync(() => readFileSync(file, 'utf8'));
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** Writes the record completely or not at all. The write is synchronous, like that of the locks in the same folder. */
export function writeRecord(locksDir: string, record: WorktreeRecord): void {
  mkdirSync(locksDir, { recursive: true, mode: 0o700 });
  writeWhole(fileOf(locksDir, record.worktreePath), JSON.stringify(record), { mode: 0o600 });
}

export async function deleteRecord(locksDir: string, worktreePath: string): Promise<void> {
  await rm(fileOf(locksDir, worktreePath), { force: true });
}
