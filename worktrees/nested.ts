/**
 * Repositories that an agent created or cloned inside its worktree. Git would store such a folder only as a pointer to
 * a commit that no other repository has. While its `.git` is moved aside, git stores its files.
 *
 * They are moved beside the worktree, so that a move is one rename and none of their files get into the change. The list
 * is written before a move: after a crash the next run puts back what it finds.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../contract/errors.ts';
import { asideOf } from './clear.ts';
import { filePath } from './file-path.ts';
import { orAbsent } from './repository.ts';

/** `from_bytes`: base64, where the path is not UTF-8; `from` is for people then. */
const listSchema = z.array(z.object({ name: z.string(), from: z.string(), from_bytes: z.string().optional() }));
type Moved = z.infer<typeof listSchema>;

const listFile = (worktreePath: string): string => path.join(asideOf(worktreePath), 'moved.json');

async function readList(worktreePath: string): Promise<Moved> {
  const text = await orAbsent(readFile(listFile(worktreePath), 'utf8'));
  return text === undefined ? [] : listSchema.parse(JSON.parse(text));
}

const within = (worktreePath: string, relative: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${worktreePath}/`), relative]);

/** `folder`, relative to the worktree, has a `.git` of its own. */
export async function moveAside(worktreePath: string, folder: Buffer): Promise<void> {
  const from = Buffer.concat([folder, Buffer.from('/.git')]);
  if ((await orAbsent(lstat(within(worktreePath, from)))) === undefined) return;
  const name = randomUUID();
  const { path: shown, path_bytes: bytes } = filePath(from);
  await mkdir(asideOf(worktreePath), { recursive: true });
  const draft = `${listFile(worktreePath)}.new`;
  const moved = { name, from: shown, ...(bytes !== undefined && { from_bytes: bytes }) };
  await writeFile(draft, JSON.stringify([...(await readList(worktreePath)), moved]));
  await rename(draft, listFile(worktreePath));
  await rename(within(worktreePath, from), path.join(asideOf(worktreePath), name));
}

/** Moves all of them back, in any order, also those of an earlier run. If a folder no longer exists, its `.git` is dropped. */
export async function putBack(worktreePath: string): Promise<void> {
  const moved = await readList(worktreePath);
  if (moved.length === 0) return;
  for (const { name, from, from_bytes: bytes } of moved) {
    const place = bytes === undefined ? Buffer.from(from) : Buffer.from(bytes, 'base64');
    try {
      await rename(path.join(asideOf(worktreePath), name), within(worktreePath, place));
    } catch (error) {
      // Not moved before the crash, put back before it, its folder gone, or a new repository in its place.
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
    }
  }
  await rm(asideOf(worktreePath), { recursive: true, force: true });
}
