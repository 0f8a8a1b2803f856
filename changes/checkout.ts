/**
 * Runs git on a user's checkout without writing into the project's `.git`. Git uses the settings, attributes and
 * filters of the project. An index that git writes is a file in the home, and git stores new objects in the mirror.
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type GitOptions, git } from '../worktrees/git.ts';
import { ensureMirror } from '../worktrees/mirror.ts';
import { quoted, splitFields } from '../worktrees/file-path.ts';
import { adminDirOf, type Repository } from '../worktrees/repository.ts';

export interface Checkout {
  readonly repository: Repository;
  readonly topLevel: string;
  readonly mirror: string;
  /** A folder in the home for temporary files of this action. */
  readonly scratch: string;
  /** Whether the checkout keeps executable bits (core.fileMode). */
  readonly modes: boolean;
  /** The number of hexadecimal digits in an object id of the repository: 40 or 64. */
  readonly idChars: number;
  readonly signal?: AbortSignal;
}

export interface OpenCheckout {
  readonly locksDir: string;
  readonly repository: Repository;
  readonly scratch: string;
  readonly signal?: AbortSignal;
}

export async function openCheckout({ locksDir, repository, scratch, signal }: OpenCheckout): Promise<Checkout> {
  const mirror = await ensureMirror({ locksDir, repository, ...(signal && { signal }) });
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const { topLevel, head } = repository;
  const found = await git(['config', '--type=bool', '--default=true', '--get', 'core.fileMode'], { cwd: topLevel });
  const modes = found.toString('utf8').trim() !== 'false';
  return { repository, topLevel, mirror, scratch, modes, idChars: head.length, ...(signal && { signal }) };
}

/**
 * Returns the options to run git on the checkout. `index` is the name of an index file in the scratch folder. If
 * `index` is omitted, git uses the user's index.
 */
export function inCheckout(checkout: Checkout, index?: string): GitOptions {
  const { repository, topLevel, mirror, scratch, signal } = checkout;
  const adminDir = adminDirOf(topLevel) ?? repository.commonDir;
  return {
    cwd: topLevel,
    env: {
      GIT_DIR: adminDir,
      GIT_WORK_TREE: topLevel,
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_OBJECT_DIRECTORY: path.join(mirror, 'objects'),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: path.join(repository.commonDir, 'objects'),
      ...(index !== undefined && { GIT_INDEX_FILE: path.join(scratch, index) }),
    },
    settings: {
      'core.splitIndex': 'false',
      'core.sparseCheckout': 'false',
      'core.ignoreStat': 'false',
      'index.sparse': 'false',
      // git-lfs stores the files that it cleans beside the mirror's objects. Without this setting git-lfs would store
      // them in the project.
      'lfs.storage': path.join(mirror, 'lfs'),
    },
    ...(signal && { signal }),
  };
}

export interface IndexEntry {
  readonly path: Buffer;
  readonly mode: string;
  readonly blob: string;
  /**
   * The stage of the entry in the index: `0`, or in a merge that is not resolved `1` (base), `2` (ours) or `3`
   * (theirs).
   */
  readonly mergeSide: string;
  /** Whether the path is outside the cone of a sparse checkout, so that git does not write the file to disk. */
  readonly skipped: boolean;
}

/** Lists the entries of an index. */
export async function listIndex(at: GitOptions): Promise<IndexEntry[]> {
  const fields = splitFields(await git(['ls-files', '-t', '-s', '-z'], at));
  return fields.map((field) => {
    const tab = field.indexOf(0x09);
    const [tag = '', mode = '', blob = '', mergeSide = ''] = field.subarray(0, tab).toString('latin1').split(' ');
    return { path: field.subarray(tab + 1), mode, blob, mergeSide, skipped: tag === 'S' };
  });
}

export interface NamedBlob {
  readonly path: Buffer;
  readonly mode: string;
  readonly blob: string;
}

/** Makes a new index that has exactly these entries, without the sizes and times of files on disk. */
export async function makeIndex(at: GitOptions, entries: readonly NamedBlob[]): Promise<void> {
  const index = at.env?.['GIT_INDEX_FILE'];
  if (index === undefined) throw new TypeError('an index of our own is expected');
  rmSync(index, { force: true });
  const lines = entries.flatMap(({ path: name, mode, blob }) => [Buffer.from(`${mode} ${blob}\t`), name, Buffer.of(0)]);
  await git(['update-index', '-z', '--add', '--replace', '--index-info'], { ...at, input: Buffer.concat(lines) });
}

/** Returns the paths as input for a git command with `-z`: each path is followed by a NUL byte. */
export const asLines = (paths: readonly Buffer[]): Buffer => Buffer.concat(paths.flatMap((one) => [one, Buffer.of(0)]));

/** Stores the bytes of the files as blobs, without conversions. Returns one id for each file, in the given order. */
export async function storeRaw(at: GitOptions, files: readonly Buffer[]): Promise<string[]> {
  if (files.length === 0) return [];
  const input = files.map((file) => `${quoted(file)}\n`).join('');
  const ids = await git(['hash-object', '-w', '--no-filters', '--stdin-paths'], { ...at, input });
  return ids.toString('utf8').trim().split('\n');
}

export async function storeBlob(at: GitOptions, bytes: Buffer): Promise<string> {
  return (await git(['hash-object', '-w', '--no-filters', '--stdin'], { ...at, input: bytes })).toString('utf8').trim();
}

/** Returns the contents of the blobs, in the given order. */
export async function readBlobs(at: GitOptions, ids: readonly string[]): Promise<Buffer[]> {
  if (ids.length === 0) return [];
  const output = await git(['cat-file', '--batch'], { ...at, input: `${ids.join('\n')}\n` });
  const blobs: Buffer[] = [];
  let from = 0;
  for (const id of ids) {
    const end = output.indexOf(0x0a, from);
    const [, type, size] = output.subarray(from, end).toString('latin1').split(' ');
    if (type !== 'blob') throw new TypeError(`blob ${id}: expected it in the mirror, found ${type ?? 'none'}`);
    blobs.push(output.subarray(end + 1, end + 1 + Number(size)));
    from = end + 2 + Number(size);
  }
  return blobs;
}
