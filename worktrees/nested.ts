/**
 * Repositories that an agent made or cloned inside its worktree. Git would store such a folder as a bare
 * pointer to a commit that nobody else has; moved aside, its `.git` lets the files in it be stored.
 *
 * They are moved beside the worktree, so that a move is one rename and nothing of them can get into the
 * change. The list is written before a move: after a crash the next run puts back what it finds.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../workflows/errors.ts';
import { asideOf } from './clear.ts';
import { orAbsent } from './repository.ts';

const listSchema = z.array(z.object({ name: z.string(), from: z.string() }));
type Moved = z.infer<typeof listSchema>;

const listFile = (worktreePath: string): string => path.join(asideOf(worktreePath), 'moved.json');

async function readList(worktreePath: string): Promise<Moved> {
  const text = await orAbsent(readFile(listFile(worktreePath), 'utf8'));
  return text === undefined ? [] : listSchema.parse(JSON.parse(text));
}

/** `folder`, relative to the worktree, has a `.git` of its own. */
export async function moveAside(worktreePath: string, folder: string): Promise<void> {
  const from = path.join(folder, '.git');
  if ((await orAbsent(lstat(path.join(worktreePath, from)))) === undefined) return;
  const name = randomUUID();
  await mkdir(asideOf(worktreePath), { recursive: true });
  const draft = `${listFile(worktreePath)}.new`;
  await writeFile(draft, JSON.stringify([...(await readList(worktreePath)), { name, from }]));
  await rename(draft, listFile(worktreePath));
  await rename(path.join(worktreePath, from), path.join(asideOf(worktreePath), name));
}

/** Puts all back, in any order, also those of an earlier run. A folder that is gone by now keeps none. */
export async function putBack(worktreePath: string): Promise<void> {
  const moved = await readList(worktreePath);
  if (moved.length === 0) return;
  for (const { name, from } of moved) {
    try {
      await rename(path.join(asideOf(worktreePath), name), path.join(worktreePath, from));
    } catch (error) {
      // Not moved before the crash, put back before it, its folder gone, or a new repository in its place.
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
    }
  }
  await rm(asideOf(worktreePath), { recursive: true, force: true });
}
