/**
 * Backs up a home into one file, whether Longhaul runs or not. contents.ts lists what the file contains.
 *
 * Must never happen: a file with the given name is incomplete. So the backup is written to a temporary file in the same
 * folder, and the last step renames this file.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { packageVersion } from '../../processes/package-version.ts';
import { exists } from '../../processes/exists.ts';
import { prepareHome } from '../../services/home/home.ts';
import { takeLock } from '../../services/home/lock.ts';
import { attachPostgres, startPostgres, stopPostgres } from '../../services/postgres/postgres.ts';
import type { Settings } from '../../services/settings.ts';
import { projectFolders } from '../../store/projects.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { isErrno, LonghaulError } from '../../contract/errors.ts';
import { contentsOf, FORMAT, type Manifest } from './contents.ts';
import { copyCluster } from './copy-cluster.ts';
import { bundleResults } from './results.ts';

const run = promisify(execFile);

/**
 * Writes the backup of the embedded Postgres and the results to `wanted`. Fails with `invalid_input` if this file
 * exists, if the home has no database, or if DATABASE_URL is set.
 */
export async function backUp(settings: Settings, wanted: string): Promise<Manifest> {
  if (settings.databaseUrl !== undefined) {
    throw new LonghaulError(
      'invalid_input',
      'DATABASE_URL names your own Postgres, which has everything that a backup would contain: use pg_dump for it, or unset DATABASE_URL to back up the embedded one.',
    );
  }
  if (!(await exists(join(settings.home, 'postgres', 'data', 'PG_VERSION'))))
    throw new LonghaulError('invalid_input', `${settings.home} has no database yet: there is nothing to back up.`);
  const file = resolve(wanted);
  if (await exists(file)) throw taken(file);
  const folder = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);
  await mkdir(folder, { mode: 0o700 });
  try {
    const made = await withDatabase(settings.home, (sql) => collect(sql, settings.home, folder));
    const archive = `${folder}.tar`;
    try {
      await run('sh', ['-c', 'umask 077; exec tar -czf "$1" -C "$2" .', 'sh', archive, folder]);
      await link(archive, file).catch((error: unknown) => {
        throw isErrno(error, 'EEXIST') ? taken(file) : error;
      });
    } finally {
      await rm(archive, { force: true });
    }
    return made;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const taken = (file: string): LonghaulError =>
  new LonghaulError('invalid_input', `${file} exists: name another file, or remove it.`);

/** Runs `work` with a connection to the running Postgres, or to a Postgres that runs only for this call. */
async function withDatabase<T>(home: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const paths = await prepareHome(home);
  const options = { dir: paths.postgres, logFile: join(paths.logs, 'postgres.log') };
  const use = async (url: string): Promise<T> => {
    const sql = connect(url, { max: 2, applicationName: 'longhaul backup' });
    try {
      return await work(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  };
  const running = await attachPostgres(options);
  if (running) {
    running.release();
    return use(running.url);
  }
  const lock = await takeLock(paths.lock);
  if (lock.kind === 'busy')
    throw new LonghaulError(
      'service_unreachable',
      'Postgres is not ready yet: run `longhaul up -d`, then back up again.',
    );
  try {
    const started = await startPostgres(options);
    try {
      return await use(started.url);
    } finally {
      await stopPostgres(started.identity);
    }
  } finally {
    await lock.release();
  }
}

async function collect(sql: Sql, home: string, folder: string): Promise<Manifest> {
  const to = contentsOf(folder);
  await copyCluster(sql, join(home, 'postgres', 'data'), to.data);
  await copyFile(join(home, 'postgres', 'password'), to.password);
  if (await exists(join(home, 'token'))) await copyFile(join(home, 'token'), to.token);
  // The rows are read after the cluster was copied. So the bundle contains every ref that a copied row names.
  const rows = await projectFolders(sql);
  const projects: Manifest['projects'] = [];
  for (const { id, path } of rows) {
    const results = await bundleResults(home, path, to.bundle(id));
    if (results) projects.push({ id, path, ...results });
  }
  const made: Manifest = { format: FORMAT, version: packageVersion(), madeAt: new Date().toISOString(), projects };
  await writeFile(to.manifest, JSON.stringify(made, undefined, 2), { mode: 0o600 });
  return made;
}
