/** Creates a home from a backup. Must never happen: a home that has a database is overwritten. */
import { execFile } from 'node:child_process';
import { chown, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { exists } from '../../processes/exists.ts';
import { type HomePaths, prepareHome } from '../../services/home/home.ts';
import { takeLock } from '../../services/home/lock.ts';
import { findPostgresBinaries } from '../../services/postgres/binaries.ts';
import { choosePostgresUser } from '../../services/postgres/user.ts';
import { startPostgres, stopPostgres } from '../../services/postgres/postgres.ts';
import { forgetOpenTurns } from '../../store/forget-open-turns.ts';
import { connect } from '../../store/sql.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { contentsOf, type Manifest, manifest } from './contents.ts';
import { restoreResults } from './results.ts';

const run = promisify(execFile);

export interface Restored {
  readonly made: Manifest;
  /** The refs that could not be restored, by the path of their project. */
  readonly lost: Readonly<Record<string, readonly string[]>>;
}

/** Creates the home from the backup `given`. Fails with `invalid_input` if the home has a database or is in use. */
export async function restore(home: string, given: string): Promise<Restored> {
  const file = resolve(given);
  if (!(await exists(file))) throw new LonghaulError('invalid_input', `The backup ${file} does not exist.`);
  if (await exists(join(home, 'postgres', 'data')))
    throw new LonghaulError(
      'invalid_input',
      `${home} has a database already: move the home away, or set LONGHAUL_HOME to a folder for the restored one.`,
    );
  const paths = await prepareHome(home);
  const lock = await takeLock(paths.lock);
  if (lock.kind === 'busy')
    throw new LonghaulError(
      'invalid_input',
      `Process ${lock.holder.pid} uses ${home}: run \`longhaul down\`, then restore again.`,
    );
  const folder = join(home, 'restoring');
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
    const made = await unpack(file, folder);
    const from = contentsOf(folder);
    const lost: Record<string, readonly string[]> = {};
    for (const { id, path, ...results } of made.projects) {
      const missing = await restoreResults(home, path, { bundle: from.bundle(id), ...results });
      if (missing.length > 0) lost[path] = missing;
    }
    if ((await exists(from.token)) && !(await exists(paths.tokenFile))) await rename(from.token, paths.tokenFile);
    await placeCluster(folder, paths.postgres);
    await startOpenTasksOver(paths);
    return { made, lost };
  } finally {
    await rm(folder, { recursive: true, force: true });
    await lock.release();
  }
}

async function unpack(file: string, folder: string): Promise<Manifest> {
  try {
    await run('tar', ['-xzf', file, '-C', folder, '--no-same-owner']);
    return manifest.parse(JSON.parse(await readFile(contentsOf(folder).manifest, 'utf8')));
  } catch (error) {
    const message = `${file}: expected a file that \`longhaul backup\` made, found ${whatIsWrong(error)}.`;
    throw new LonghaulError('invalid_input', message, { cause: error });
  }
}

/**
 * Returns what the file is instead of a backup, to complete the sentence "found …". Of tar's output the first line is
 * quoted, because the last line only says that tar exits.
 */
function whatIsWrong(error: unknown): string {
  const { code, stderr } = error as { code?: unknown; stderr?: unknown };
  if (typeof stderr !== 'string') return code === 'ENOENT' ? 'no manifest in it' : 'a manifest that cannot be read';
  if (stderr.includes('not in gzip format')) return 'no compressed tar file';
  return `what tar cannot unpack (${stderr.split('\n', 1)[0] ?? ''})`;
}

/**
 * Moves the cluster into the home. This is the last step of a restore, because the home counts as having a database
 * from then on.
 */
async function placeCluster(folder: string, postgres: string): Promise<void> {
  const from = contentsOf(folder);
  await mkdir(postgres, { recursive: true, mode: 0o711 });
  const data = join(postgres, 'data');
  const { postgres: program } = await findPostgresBinaries();
  // If root runs the cluster under another account, this account must own the cluster's files, as it owns those of a
  // new cluster.
  const user = await choosePostgresUser(postgres, data, program);
  if (user.kind === 'account') await give(from.data, user);
  await rename(from.password, join(postgres, 'password'));
  await rename(from.data, data);
}

/**
 * Resets open tasks, so that their agents start over, because a backup contains no worktrees. If an agent resumed its
 * session in a new worktree, or if a turn counted as completed, the change would lack what the agent wrote before.
 */
async function startOpenTasksOver(paths: HomePaths): Promise<void> {
  const server = await startPostgres({ dir: paths.postgres, logFile: join(paths.logs, 'postgres.log') });
  const sql = connect(server.url, { max: 1, applicationName: 'longhaul restore' });
  try {
    await forgetOpenTurns(sql);
  } finally {
    await sql.end({ timeout: 1 });
    await stopPostgres(server.identity);
  }
}

async function give(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): Promise<void> {
  await chown(path, uid, gid);
  for (const name of await readdir(path, { recursive: true })) await chown(join(path, name), uid, gid);
}
