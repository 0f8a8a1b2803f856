/**
 * Limits the size of a home's logs while programs have them open. The content of a log above the limit moves to
 * `<log>.1`, older files move to `.2` and `.3`, and the oldest is removed. The program that writes the log is not
 * affected and appends to the same file.
 *
 * Must never happen: a line is lost, if the file system can remove the beginning of a file (ext4, xfs). On other file
 * systems lines that are written between the last copy and the truncation are lost. A crash between the copy and the
 * truncation leaves lines in both files.
 */
import { execFile } from 'node:child_process';
import { constants, renameSync, rmSync, statSync } from 'node:fs';
import { copyFile, open, readdir, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isErrno, messageOf } from '../../contract/errors.ts';

const run = promisify(execFile);
const LIMIT_BYTES = 16 * 1024 * 1024;
/** Number of rotated files, in addition to the log itself. */
const KEPT_FILES = 3;
const CHECK_INTERVAL_MS = 10_000;

export interface LogLimits {
  readonly limitBytes?: number;
  readonly keptFiles?: number;
}

/**
 * Rotates logs until `signal` is aborted. `onTrouble` is called with the reason why a log could not be rotated; the
 * rotation is retried.
 */
export async function rotateLogsPeriodically(
  folder: string,
  { signal, onTrouble }: { readonly signal: AbortSignal; readonly onTrouble: (line: string) => void },
): Promise<void> {
  let last = '';
  while (!signal.aborted) {
    const trouble = await rotateLogs(folder).then(
      () => '',
      (error: unknown) => `logs: not rotated: ${messageOf(error)}`,
    );
    if (trouble !== '' && trouble !== last) onTrouble(trouble);
    last = trouble;
    // The sleep rejects only if `signal` is aborted.
    await sleep(CHECK_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Rotates each log in the folder that exceeds the limit. */
export async function rotateLogs(folder: string, limits: LogLimits = {}): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  for (const name of names.filter((one) => one.endsWith('.log'))) await rotateOpenLog(join(folder, name), limits);
}

/** Rotates a log that no program has open, before a program starts to write to it: the whole file is renamed. */
export function rotateUnusedLog(file: string): void {
  try {
    if (statSync(file).size <= LIMIT_BYTES) return;
    for (let number = KEPT_FILES - 1; number >= 1; number--) {
      try {
        renameSync(`${file}.${number}`, `${file}.${number + 1}`);
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    }
    rmSync(`${file}.1`, { force: true });
    renameSync(file, `${file}.1`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

async function rotateOpenLog(
  file: string,
  { limitBytes = LIMIT_BYTES, keptFiles = KEPT_FILES }: LogLimits,
): Promise<void> {
  const { size, isFile } = await stat(file).then((found) => ({ size: found.size, isFile: found.isFile() }));
  if (!isFile || size <= limitBytes) return;
  // The length is rounded to whole blocks, because only whole blocks can be removed from a file.
  const { bsize } = await statfs(file);
  const length = size - (size % bsize);
  const copy = join(dirname(file), `.${basename(file)}.rotating`);
  try {
    await copyFile(file, copy, constants.COPYFILE_FICLONE);
    if (length > 0 && (await canCollapse(file))) {
      await truncate(copy, length);
      await shift(file, copy, keptFiles);
      await collapseStart(file, length);
      return;
    }
    await copyRest(file, copy);
    await truncate(file, 0);
    await shift(file, copy, keptFiles);
  } finally {
    await rm(copy, { force: true });
  }
}

async function shift(file: string, copy: string, keptFiles: number): Promise<void> {
  for (let number = keptFiles - 1; number >= 1; number--) {
    await rename(`${file}.${number}`, `${file}.${number + 1}`).catch((error: unknown) => {
      if (!isErrno(error, 'ENOENT')) throw error;
    });
  }
  await rename(copy, `${file}.1`);
}

/**
 * Whether the file system can remove the beginning of a file. The removal is tried on a separate file, because the
 * attempt must not change a log.
 */
async function canCollapse(file: string): Promise<boolean> {
  const probe = join(dirname(file), `.${basename(file)}.probe`);
  try {
    const { bsize } = await statfs(file);
    const handle = await open(probe, 'w', 0o600);
    try {
      await handle.writeFile(Buffer.alloc(2 * bsize, 'x'));
    } finally {
      await handle.close();
    }
    await collapseStart(probe, bsize);
    return true;
  } catch {
    // fallocate(1) is missing, or the file system does not support it. In both cases the beginning of a file cannot be
    // removed.
    return false;
  } finally {
    await rm(probe, { force: true });
  }
}

/**
 * Removes the first bytes of the file, a whole number of blocks. Bytes that are appended meanwhile are kept. See
 * fallocate(2), COLLAPSE_RANGE.
 */
async function collapseStart(file: string, length: number): Promise<void> {
  await run('fallocate', ['--collapse-range', '--offset', '0', '--length', String(length), file], { cwd: '/' });
}

/** Appends to the copy what was written to the file after it was copied. */
async function copyRest(file: string, copy: string): Promise<void> {
  const [from, to] = [await open(file, 'r'), await open(copy, 'a')];
  try {
    let at = (await to.stat()).size;
    const buffer = Buffer.alloc(64 * 1024);
    for (;;) {
      const { bytesRead } = await from.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      await to.writeFile(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  } finally {
    await Promise.all([from.close(), to.close()]);
  }
}
