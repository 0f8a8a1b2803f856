/**
 * Writes the files of a journal into the checkout, or takes them back. A file's new content is first written to a draft
 * in the same folder, and then a rename replaces the file with the draft. A path that already has the wanted content is
 * not written, so after a kill at any point `writeFiles` and `takeBack` may be called again.
 *
 * Must never happen: a path that the user changed after the plan was made is overwritten. So the path is compared with
 * the journal directly before it is replaced. Not covered: a program that writes the file between that comparison and
 * the rename.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { isErrno } from '../contract/errors.ts';
import { barrierTo, type DiskState, isSameState, joined, parentsOf, readDisk, statusAt } from './disk.ts';
import { type Journal, type JournalEntry, pathOf } from './journal.ts';
import { readBlobs } from './checkout.ts';

/** The number of files whose contents are in memory at the same time. */
const CHUNK = 32;

export interface WriteRequest {
  readonly journal: Journal;
  /** A text that becomes part of the names of the drafts. */
  readonly tag: string;
  readonly signal?: AbortSignal | undefined;
}

interface Move {
  readonly path: Buffer;
  readonly from: DiskState;
  readonly to: DiskState;
  readonly draft: Buffer;
}

/**
 * Writes the files in the order of the journal. Stops at the first path that has neither the old nor the new content of
 * the journal, and returns this path as `changed`. The files before that path stay written.
 */
export async function writeFiles(request: WriteRequest): Promise<{ readonly changed?: Buffer }> {
  const { journal } = request;
  const moves = movesOf(request, journal.entries, ({ was, becomes }) => ({ from: was, to: becomes }));
  const left = await makeMoves(request, moves, { stopAtOther: true });
  return left[0] === undefined ? {} : { changed: left[0] };
}

/**
 * Restores the old content of the paths. Does not touch the paths that have neither the old nor the new content,
 * because the user changed them meanwhile, and returns them as `left`.
 */
export async function takeBack(request: WriteRequest): Promise<{ readonly left: readonly Buffer[] }> {
  const swapped = movesOf(request, request.journal.entries, ({ was, becomes }) => ({ from: becomes, to: was }));
  const deleted = swapped.filter((move) => move.to === null).toReversed();
  const moves = [...deleted, ...swapped.filter((move) => move.to !== null)];
  const left = await makeMoves(request, moves, { stopAtOther: false });
  const { checkout } = request.journal;
  for (const move of deleted) pruneFolders(checkout, move.path);
  return { left };
}

function movesOf(
  { tag }: WriteRequest,
  entries: readonly JournalEntry[],
  ends: (entry: JournalEntry) => Pick<Move, 'from' | 'to'>,
): Move[] {
  return entries.map((entry, index) => {
    const path = pathOf(entry);
    const folder = parentsOf(path).at(-1);
    const name = Buffer.from(`.longhaul-${tag}-${index}`);
    const draft = folder === undefined ? name : Buffer.concat([folder, Buffer.from('/'), name]);
    return { path, ...ends(entry), draft };
  });
}

/** Makes the moves. Returns the paths whose content is neither that before nor that after the move. */
async function makeMoves(
  { journal, signal }: WriteRequest,
  moves: readonly Move[],
  { stopAtOther }: { readonly stopAtOther: boolean },
): Promise<Buffer[]> {
  const { checkout, modes } = journal;
  const idChars = idCharsOf(journal);
  const left: Buffer[] = [];
  removeDrafts(checkout, moves);
  for (let at = 0; at < moves.length; at += CHUNK) {
    const chunk = moves.slice(at, at + CHUNK);
    const contents = await contentsOf(journal, chunk);
    for (const move of chunk) {
      signal?.throwIfAborted();
      const state = readDisk(checkout, move.path, idChars);
      if (isSameState(state, move.to, modes)) alignMode(checkout, move, modes);
      else if (isSameState(state, move.from, modes)) replace(checkout, move, contents.get(move.to?.raw ?? ''));
      else {
        left.push(move.path);
        if (stopAtOther) return left;
      }
    }
    await breathe();
  }
  syncFolders(checkout, moves);
  return left;
}

const idCharsOf = ({ entries }: Journal): number =>
  entries.map(({ was, becomes }) => (was ?? becomes)?.raw.length).find((chars) => chars !== undefined) ?? 40;

/** Removes the drafts that an earlier call left because its process was killed. */
function removeDrafts(checkout: string, moves: readonly Move[]): void {
  for (const { draft } of moves) {
    if (barrierTo(checkout, draft) === undefined) rmSync(joined(checkout, draft), { force: true });
  }
}

async function contentsOf({ mirror }: Journal, moves: readonly Move[]): Promise<Map<string, Buffer>> {
  const ids = [...new Set(moves.flatMap(({ to }) => (to === null ? [] : [to.raw])))];
  const blobs = await readBlobs({ cwd: mirror }, ids);
  return new Map(ids.map((id, index) => [id, blobs[index] ?? Buffer.of()]));
}

/**
 * Gives the file the wanted permissions if the checkout does not compare executable bits (core.fileMode=false), because
 * git sets these bits also in such a checkout.
 */
function alignMode(checkout: string, { path, to }: Move, modes: boolean): void {
  if (modes || to?.kind !== 'file') return;
  const file = joined(checkout, path);
  if ((lstatSync(file).mode & 0o777) !== to.perm) chmodSync(file, to.perm);
}

function replace(checkout: string, { path, to, draft }: Move, content: Buffer | undefined): void {
  const file = joined(checkout, path);
  if (to === null) {
    unlinkSync(file);
    pruneFolders(checkout, path);
    return;
  }
  if (content === undefined) throw new TypeError('the content of each file was read');
  makeParents(checkout, path);
  const beside = joined(checkout, draft);
  if (to.kind === 'link') symlinkSync(content, beside);
  else writeDraft(beside, content, to.perm);
  if (statusAt(file)?.isDirectory() === true) removeEmptyFolders(file);
  renameSync(beside, file);
}

function writeDraft(file: Buffer, content: Buffer, perm: number): void {
  const fd = openSync(file, 'wx', 0o600);
  try {
    for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    fchmodSync(fd, perm);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Creates the missing folders above the path. If a link or a file exists in place of a folder, mkdir fails. */
function makeParents(checkout: string, path: Buffer): void {
  for (const parent of parentsOf(path)) {
    const folder = joined(checkout, parent);
    if (statusAt(folder) === undefined) mkdirSync(folder);
  }
}

/** Removes the empty folders above a deleted path, as git does when it deletes a file. */
function pruneFolders(checkout: string, path: Buffer): void {
  for (const parent of parentsOf(path).toReversed()) {
    if (statusAt(joined(checkout, parent))?.isDirectory() !== true) continue;
    try {
      rmdirSync(joined(checkout, parent));
    } catch (error) {
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST', 'EBUSY')) return;
      throw error;
    }
  }
}

function removeEmptyFolders(folder: Buffer): void {
  for (const name of readdirSync(folder, { encoding: 'buffer' })) {
    removeEmptyFolders(Buffer.concat([folder, Buffer.from('/'), name]));
  }
  rmdirSync(folder);
}

/**
 * Makes the renames durable. Otherwise a power failure could undo them after the database recorded the action as done.
 */
function syncFolders(checkout: string, moves: readonly Move[]): void {
  const folders = new Map<string, Buffer>([['', Buffer.from(checkout)]]);
  for (const { path } of moves) {
    const parent = parentsOf(path).at(-1);
    if (parent !== undefined) folders.set(parent.toString('latin1'), joined(checkout, parent));
  }
  for (const folder of folders.values()) {
    if (statusAt(folder)?.isDirectory() !== true) continue;
    const fd = openSync(folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
  }
}
