/**
 * Reads the file or link that exists on disk at a path of a checkout, and compares two such states byte for byte. Paths
 * are bytes, because a path need not be UTF-8.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { isErrno } from '../contract/errors.ts';

/**
 * A file or a link on disk. The value is null if the path has neither a file nor a link: nothing or a folder is there.
 * `raw` is the id that git gives a blob with exactly the bytes of the file, or with the target of the link. `perm` has
 * the permission bits.
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

/** Returns the folders that contain the path, the outermost first, without the top folder of the checkout. */
export function parentsOf(relative: Buffer): Buffer[] {
  const parents: Buffer[] = [];
  for (let at = relative.indexOf(SLASH); at >= 0; at = relative.indexOf(SLASH, at + 1)) {
    parents.push(relative.subarray(0, at));
  }
  return parents;
}

/**
 * Returns the status of the path itself: a link at the path is not followed. Returns undefined if nothing exists at the
 * path, for example because one of its parents is a file.
 */
export function statusAt(file: Buffer): Stats | undefined {
  try {
    return lstatSync(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/**
 * Returns the first parent of the path that exists and is not a folder but a link or a file; undefined if there is no
 * such parent. Callers read and write nothing through such a parent.
 */
export function barrierTo(root: string, relative: Buffer): Buffer | undefined {
  for (const parent of parentsOf(relative)) {
    const status = statusAt(joined(root, parent));
    if (status === undefined) return undefined;
    if (!status.isDirectory()) return parent;
  }
  return undefined;
}

/**
 * Returns the id that git gives a blob with these bytes. `idChars` is the number of digits of the repository's object
 * ids: 40 for SHA-1, 64 for SHA-256.
 */
export function blobId(bytes: Buffer, idChars: number): string {
  const hash = createHash(idChars === 64 ? 'sha256' : 'sha1');
  return hash.update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

/**
 * Returns the file or link that is on disk at the path. Returns null also if a parent of the path is a link or a file.
 */
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

/**
 * Returns whether the two states are equal. `modes` says whether the checkout keeps executable bits (core.fileMode). If
 * `modes` is false, permissions are not compared. Otherwise only the executable bit of the file's owner is compared.
 */
export function isSameState(one: DiskState, other: DiskState, modes: boolean): boolean {
  if (one === null || other === null) return one === other;
  if (one.kind !== other.kind || one.raw !== other.raw) return false;
  if (one.kind === 'link' || other.kind === 'link' || !modes) return true;
  return isExecutable(one.perm) === isExecutable(other.perm);
}

export const isExecutable = (perm: number): boolean => (perm & 0o100) !== 0;

/**
 * Returns the permission bits with or without the right to execute. Only the users who may read the file get the right
 * to execute it.
 */
export const withExecutable = (perm: number, executable: boolean): number =>
  executable ? perm | ((perm & 0o444) >> 2) : perm & ~EXECUTABLE;
