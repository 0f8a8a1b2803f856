/**
 * Writes files that exist completely or not at all, even if the process is killed meanwhile. A kill may leave a hidden draft
 * beside the file: `.<name>.<8 hex digits>`, which `longhaul gc` removes.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../contract/errors.ts';

const draftOf = (file: string): string => join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);

/**
 * Synchronous, for small files on the way to an agent's start. A power cut may leave the file empty; its reader then treats
 * it as missing.
 */
export function writeWhole(file: string, content: string | Buffer, { mode = 0o666 }: { mode?: number } = {}): void {
  const draft = draftOf(file);
  writeFileSync(draft, content, { mode });
  renameSync(draft, file);
}

/** Writes a file that only its owner can read, and that a power cut does not leave empty. */
export async function writePrivately(file: string, text: string): Promise<void> {
  const draft = draftOf(file);
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * Makes the file at `to` equal to the file at `from`, or removes it if there is none at `from`. Writes only if the
 * content differs.
 */
export function copyOrRemove(from: string, to: string): void {
  const [wanted, found] = [from, to].map(contentOf);
  if (wanted === undefined) rmSync(to, { force: true });
  else if (found === undefined || !wanted.equals(found)) writeWhole(to, wanted);
}

function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
