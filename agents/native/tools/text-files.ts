/** Reads and replaces text files for the tools. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../../../contract/errors.ts';
import { ToolRefusal } from './confine.ts';

const MAX_BYTES = 2 * 1024 * 1024;

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Returns the text of a file, or `undefined` if the file does not exist. */
export function textOf(path: string, shown: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (!status.isFile()) throw new ToolRefusal(`${shown}: expected a file, found something else (a folder, perhaps).`);
  if (status.size > MAX_BYTES)
    throw new ToolRefusal(`${shown} has ${status.size} bytes; files up to ${MAX_BYTES} are read.`);
  const bytes = readFileSync(path);
  const text = bytes.toString('utf8');
  if (bytes.includes(0) || !Buffer.from(text, 'utf8').equals(bytes)) {
    throw new ToolRefusal(`${shown} is not a text file in UTF-8.`);
  }
  return text;
}

/** Returns the hash of the file's content, or `null` if the file does not exist. */
export function fileHash(path: string): string | null {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

/**
 * Returns the path of a draft beside the file. This draft is used if the session's draft is on another file system. A
 * kill may leave the draft; the next start of the session removes it.
 */
export const draftOf = (path: string): string =>
  join(dirname(path), `.${basename(path).slice(0, 200)}.longhaul-native`);

/**
 * Replaces a file atomically: readers see the old or the new content, never a part. The file's mode stays. The content
 * is written to `draft`, which is then renamed. The draft is outside of the working directory, so that a kill leaves no
 * file in the change.
 */
export function replaceFile(path: string, text: string, draft: string): void {
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeAndRename(path, text, draft);
  } catch (error) {
    if (!isErrno(error, 'EXDEV')) throw error;
    writeAndRename(path, text, draftOf(path));
  }
}

function writeAndRename(path: string, text: string, draft: string): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  try {
    const fd = openSync(draft, 'w');
    try {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (mode !== undefined) chmodSync(draft, mode & 0o7777);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true }); // for example, no space is left
    throw error;
  }
}
