/**
 * Moves aside the `.git` of repositories that an agent created or cloned inside its worktree. Git would store such a
 * repository only as a pointer to a commit that no other repository has. While its `.git` is moved aside, git stores
 * its files.
 *
 * The `.git` folders are moved to a folder beside the worktree, so that each move is one rename and none of their files
 * become part of the change. A list of the moves is written before each move, so that after a crash the next collection
 * can move the `.git` folders back.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../contract/errors.ts';
import { writeWhole } from '../processes/whole-file.ts';
import { nestedGitFolderOf } from './clear.ts';
import { filePath } from './file-path.ts';
import { orAbsent } from './repository.ts';

/** One move. `from_bytes`: the path in base64 if it is not UTF-8; then `from` is only for people. */
const listSchema = z.array(z.object({ name: z.string(), from: z.string(), from_bytes: z.string().optional() }));
type Moved = z.infer<typeof listSchema>;

const listFile = (worktreePath: string): string => path.join(nestedGitFolderOf(worktreePath), 'moved.json');

async function readList(worktreePath: string): Promise<Moved> {
  const text = await orAbsent(readFile(listFile(worktreePath), 'utf8'));
  return text === undefined ? [] : listSchema.parse(JSON.parse(text));
}

const within = (worktreePath: string, relative: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${worktreePath}/`), relative]);

/** Moves the `.git` of a nested repository aside. `folder`: relative to the worktree. */
export async function moveNestedGitAside(worktreePath: string, folder: Buffer): Promise<void> {
  const from = Buffer.concat([folder, Buffer.from('/.git')]);
  if ((await orAbsent(lstat(within(worktreePath, from)))) === undefined) return;
  const name = randomUUID();
  const { path: shown, path_bytes: bytes } = filePath(from);
  await mkdir(nestedGitFolderOf(worktreePath), { recursive: true });
  const moved = { name, from: shown, ...(bytes !== undefined && { from_bytes: bytes }) };
  writeWhole(listFile(worktreePath), JSON.stringify([...(await readList(worktreePath)), moved]));
  await rename(within(worktreePath, from), path.join(nestedGitFolderOf(worktreePath), name));
}

/**
 * Moves all `.git` folders back, in any order, including those that an interrupted collection moved aside. If a
 * repository's folder no longer exists, its `.git` is deleted.
 */
export async function restoreNestedGit(worktreePath: string): Promise<void> {
  const moved = await readList(worktreePath);
  if (moved.length === 0) return;
  for (const { name, from, from_bytes: bytes } of moved) {
    const place = bytes === undefined ? Buffer.from(from) : Buffer.from(bytes, 'base64');
    try {
      await rename(path.join(nestedGitFolderOf(worktreePath), name), within(worktreePath, place));
    } catch (error) {
      // The rename fails in these cases: the `.git` was not moved aside before a crash, or was moved back already; the
      // folder of the repository no longer exists; or that folder contains a new repository.
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
    }
  }
  await rm(nestedGitFolderOf(worktreePath), { recursive: true, force: true });
}
