/**
 * Copies a running Postgres cluster through its low-level backup interface
 * (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP). The programs of the
 * embedded Postgres include neither pg_dump nor pg_basebackup.
 *
 * The copy has the state at the end of the copying: a Postgres that starts on it replays its log up to that point.
 */
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sql } from '../../store/sql.ts';
import { isErrno } from '../../contract/errors.ts';

/**
 * Folders whose content is not copied, because it belongs to the running server or is created again at a start. The
 * folders themselves must exist, empty, including those in pg_wal.
 */
const EMPTY_FOLDERS =
  /^(pg_replslot|pg_stat_tmp|pg_notify|pg_serial|pg_snapshots|pg_subtrans|pg_dynshmem)\/|^pg_wal\/(.*\/)?[\dA-F]{8,}[^/]*$/;
const LEFT_OUT = /^postmaster\.(pid|opts)$|(^|\/)pgsql_tmp|(^|\/)pg_internal\.init/;
const SLOT = 'longhaul_backup';

/**
 * Copies the cluster in `dataDir` to the folder `to`, which it creates. `sql` must be a superuser's connection to this
 * cluster.
 */
export async function copyCluster(sql: Sql, dataDir: string, to: string): Promise<void> {
  // A backup must be started and stopped on the same connection.
  const connection = await sql.reserve();
  try {
    // The slot keeps the write-ahead log from now on. It is removed when the connection ends.
    await connection`SELECT pg_create_physical_replication_slot(${SLOT}, true, true)`;
    const [start] = await connection<{ wal: string }[]>`
      SELECT pg_walfile_name(pg_backup_start('longhaul backup', true)) AS wal`;
    await copyTree(dataDir, to, '');
    const [stop] = await connection<{ wal: string; label: string }[]>`
      SELECT pg_walfile_name(lsn) AS wal, labelfile AS label FROM pg_backup_stop(false)`;
    if (!start || !stop) throw new TypeError('a backup without start or stop');
    const log = await readdir(join(dataDir, 'pg_wal'));
    // Write-ahead log files after `stop.wal` are empty files that the server keeps for reuse, so they are not copied.
    for (const name of log.filter((file) => /^[\dA-F]{24}$/.test(file) && file >= start.wal && file <= stop.wal))
      await copyFile(join(dataDir, 'pg_wal', name), join(to, 'pg_wal', name));
    await writeFile(join(to, 'backup_label'), stop.label, { mode: 0o600 });
  } finally {
    connection.release();
  }
}

/**
 * Copies a folder with its subfolders. A file may be removed while the tree is copied. The write-ahead log then
 * contains the removal.
 */
async function copyTree(root: string, to: string, folder: string): Promise<void> {
  await mkdir(join(to, folder), { mode: 0o700 });
  for (const entry of await readdir(join(root, folder), { withFileTypes: true }).catch(orNone)) {
    const name = join(folder, entry.name);
    if (LEFT_OUT.test(name) || EMPTY_FOLDERS.test(name)) continue;
    if (entry.isDirectory()) await copyTree(root, to, name);
    else if (entry.isFile()) await copyFile(join(root, name), join(to, name)).catch(orNone);
  }
}

function orNone(error: unknown): [] {
  if (isErrno(error, 'ENOENT')) return [];
  throw error;
}
