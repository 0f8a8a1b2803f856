/**
 * Writes files that exist completely or not at all, even if the process is killed meanwhile. A kill may leave a hidden
 * draft in the same folder, `.<name>.<8 hex digits>`, which `longhaul gc` removes.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../contract/errors.ts';

const draftOf = (file: string): string => join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);

/**
 * Writes a file synchronously. It is for small files that are written before an agent starts. A power failure may leave
 * the file empty, and its reader then treats the file as missing.
 */
export function writeWhole(file: string, content: string | Buffer, { mode = 0o666 }: { mode?: number } = {}): void {
  const draft = draftOf(file);
  writeFileSync(draft, content, { mode });
  renameSync(draft, file);
}

/**
 * Writes a file that only its owner can read. A power failure leaves no empty file, because the content is synced
 * before the rename.
 */
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
 * Copies the file at `from` to `to`, or removes the file at `to` if `from` does not exist. Writes only if the contents
 * differ.
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
