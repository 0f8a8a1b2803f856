/**
 * Reads and compares what a path of a checkout has on disk, byte for byte. Paths are bytes, because a path need not be
 * UTF-8.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { isErrno } from '../contract/errors.ts';

/**
 * A file or a link on disk; null: neither (a folder, or nothing). `raw` is the id that git gives a blob with exactly
 * these bytes, or with the target of the link. `perm`: the permission bits.
 */
export type DiskState =
  | null
  | { readonly kind: 'file'; readonly raw: string; readonly perm: number }
  | { readonly kind: 'link'; readonly raw: string };

/** The bits of a mode that say who may execute a file. */
const EXECUTABLE = 0o111;
const SLASH = 0x2f;

export function joined(root: string, relative: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), relative]);
}

/** The folders that contain the path, the outermost first, without the top folder. */
export function parentsOf(relative: Buffer): Buffer[] {
  const parents: Buffer[] = [];
  for (let at = relative.indexOf(SLASH); at >= 0; at = relative.indexOf(SLASH, at + 1)) {
    parents.push(relative.subarray(0, at));
  }
  return parents;
}

/** Returns undefined if nothing exists at the path, also because a parent is a file. */
export function statusAt(file: Buffer): Stats | undefined {
  try {
    return lstatSync(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** The first parent of the path that exists and is no folder: a link or a file. A path is never followed through it. */
export function barrierTo(root: string, relative: Buffer): Buffer | undefined {
  for (const parent of parentsOf(relative)) {
    const status = statusAt(joined(root, parent));
    if (status === undefined) return undefined;
    if (!status.isDirectory()) return parent;
  }
  return undefined;
}

/** `idChars`: the length of the repository's object ids, 40 or 64. */
export function blobId(bytes: Buffer, idChars: number): string {
  const hash = createHash(idChars === 64 ? 'sha256' : 'sha1');
  return hash.update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

export function readDisk(root: string, relative: Buffer, idChars: number): DiskState {
  if (barrierTo(root, relative) !== undefined) return null;
  const file = joined(root, relative);
  const status = statusAt(file);
  if (status?.isSymbolicLink() === true) {
    return { kind: 'link', raw: blobId(readlinkSync(file, { encoding: 'buffer' }), idChars) };
  }
  if (status?.isFile() !== true) return null;
  return { kind: 'file', raw: blobId(readFileSync(file), idChars), perm: status.mode & 0o777 };
}

/** `modes`: whether the file system keeps executable bits (core.fileMode). */
export function isSameState(one: DiskState, other: DiskState, modes: boolean): boolean {
  if (one === null || other === null) return one === other;
  if (one.kind !== other.kind || one.raw !== other.raw) return false;
  if (one.kind === 'link' || other.kind === 'link' || !modes) return true;
  return isExecutable(one.perm) === isExecutable(other.perm);
}

export const isExecutable = (perm: number): boolean => (perm & 0o100) !== 0;

/** The permission bits with or without the right to execute, for those that may read the file. */
export const withExecutable = (perm: number, executable: boolean): number =>
  executable ? perm | ((perm & 0o444) >> 2) : perm & ~EXECUTABLE;
