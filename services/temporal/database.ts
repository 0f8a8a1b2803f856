/**
 * Determines from the embedded server's log why its database file kept it from starting. A file without tables is
 * renamed, because the server would always refuse it. Tasks continue from their rows in Postgres.
 *
 * Must never happen: a file is removed, or a file that may contain data is renamed without the user's decision.
 */
import { open, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';

// SQLite's own messages (sqlite.org/rescode.html), which take the -wal into account. The server creates its tables only
// if the file did not exist. So if the file is empty, or if the server was killed while it first created the file, the
// server reports a missing table.
const USELESS = /file is not a database \(26\)|no such table: namespaces/;
const DAMAGED = /database disk image is malformed|SQL logic error|disk I\/O error/;
/** How many bytes of the server's output are read. The server's first error is the last line of its output. */
const READ_BYTES = 256 * 1024;

/**
 * `useless`: the file contains no tables. `damaged`: the file may contain data. `undefined`: the log shows no fault of
 * the file.
 */
export type DatabaseVerdict = 'useless' | 'damaged' | undefined;

/** Returns the size in bytes; 0 if the file does not exist. */
export async function fileSize(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Returns what the server's log says about the database file. Reads the log from byte `from` on. */
export async function databaseVerdict(logFile: string, from: number): Promise<DatabaseVerdict> {
  const said = await readFrom(logFile, from);
  if (USELESS.test(said)) return 'useless';
  return DAMAGED.test(said) ? 'damaged' : undefined;
}

async function readFrom(file: string, from: number): Promise<string> {
  const size = await fileSize(file);
  const start = Math.max(size < from ? 0 : from, size - READ_BYTES);
  const buffer = Buffer.alloc(size - start);
  if (buffer.length === 0) return '';
  const handle = await open(file, 'r');
  try {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/**
 * Renames the database and its -wal alike, so that SQLite can still open them together. Returns the new path of the
 * database.
 */
export async function renameDatabase(databaseFile: string): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\..*/g, '');
  const aside = join(dirname(databaseFile), `${basename(databaseFile)}.damaged-${time}`);
  for (const suffix of ['-wal', '-shm', '']) {
    await rename(`${databaseFile}${suffix}`, `${aside}${suffix}`).catch((error: unknown) => {
      if (!isErrno(error, 'ENOENT')) throw error;
    });
  }
  return aside;
}

/** Returns what a user can do about a database that may contain data. */
export function adviceOnDamaged(databaseFile: string): string {
  const aside = join(dirname(databaseFile), 'damaged');
  return (
    `The database of the embedded Temporal is damaged: ${databaseFile}. Restore it, or continue without it (open tasks continue ` +
    `from their rows in Postgres, histories of ended tasks are lost): longhaul down && mkdir ${aside} && mv ${databaseFile}* ${aside} && longhaul up -d`
  );
}
