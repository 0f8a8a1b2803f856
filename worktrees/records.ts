/**
 * Facts about a worktree that git does not have: its task, its base commit and its progress. The file is beside the
 * locks, not in the worktree (it would be in the change) and not in the user's repository. It is written before the
 * worktree is created, so that an incomplete one is recognised as ours.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { identitySchema } from './identity.ts';
import { ifThere, orAbsent } from './repository.ts';
import { nameOf } from './repository-lock.ts';

const recordSchema = z.object({
  worktreePath: z.string(),
  topLevel: z.string(),
  commonDir: z.string(),
  base: z.string(),
  owner: z.string().optional(),
  /** Of the folder, once it is complete. */
  identity: identitySchema.optional(),
  /** The home was moved to another file system, and the folder with it, so the folder has another identity. */
  isCopy: z.boolean().optional(),
  /**
   * `making`: being created, created again, or removed: the content of the folder does not count.
   * `ready`: an agent may have worked in it. `collected`: all of it is stored in the repository.
   */
  state: z.enum(['making', 'ready', 'collected']),
});
export type WorktreeRecord = z.infer<typeof recordSchema>;

const SUFFIX = '.worktree.json';

const fileOf = (locksDir: string, worktreePath: string): string =>
  path.join(locksDir, `${nameOf(worktreePath)}${SUFFIX}`);

/** undefined: never created here, or removed, or unreadable after a power cut. */
export function readRecord(locksDir: string, worktreePath: string): WorktreeRecord | undefined {
  const record = readFrom(fileOf(locksDir, worktreePath));
  return record?.worktreePath === worktreePath ? record : undefined;
}

/** The worktree that belongs to `owner`: a later task of the session may have one at the same path. */
export async function findOwned(locksDir: string, owner: string): Promise<WorktreeRecord | undefined> {
  for await (const record of eachRecord(locksDir)) if (record.owner === owner) return record;
  return undefined;
}

/** All worktrees that were created here and not removed. */
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
  const text = ifThere(() => readFileSync(file, 'utf8'));
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** Synchronously, like the locks beside it. */
export function writeRecord(locksDir: string, record: WorktreeRecord): void {
  mkdirSync(locksDir, { recursive: true, mode: 0o700 });
  const file = fileOf(locksDir, record.worktreePath);
  const draft = `${file}.${randomUUID()}.new`;
  writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
  renameSync(draft, file);
}

export async function deleteRecord(locksDir: string, worktreePath: string): Promise<void> {
  await rm(fileOf(locksDir, worktreePath), { force: true });
}
