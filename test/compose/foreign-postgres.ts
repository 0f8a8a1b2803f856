/**
 * A Postgres that is not ours: another major version, with passwords (SCRAM), made by initdb and started by the test.
 * Roles and databases come from the script that the Postgres container runs.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { z } from 'zod';
import { linkLibraries } from '../../services/postgres/binaries.ts';
import { choosePostgresUser, commandAsUser } from '../../services/postgres/user.ts';
import { freePort } from '../../services/supervisor/ports.ts';
import { until } from '../lab/until.ts';
import { ROOT, VARIABLES } from './compose-file.ts';

const run = promisify(execFile);
const programs = z.object({ initdb: z.string(), postgres: z.string() });
const SUPERUSER = 'postgres';

export interface ForeignPostgres {
  /** Of the superuser, or of the role with that name and password. */
  readonly url: (database: string, role?: string, password?: string) => string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** With the roles and databases of the compose file, and `tables` in ours; not started. `dir` must exist. */
export async function foreignPostgres(dir: string, port: number, tables: string): Promise<ForeignPostgres> {
  const binaries = programs.parse(await import(`postgres-15-${process.platform}-${process.arch}`));
  const { initdb, postgres: server } = binaries;
  const env = await linkLibraries(binaries, path.join(dir, 'lib'));
  const data = path.join(dir, 'data');
  const user = await choosePostgresUser(dir, data, server);
  if (user.kind === 'account') await run('chown', [`${user.uid}:${user.gid}`, dir]);
  const password = VARIABLES['POSTGRES_PASSWORD'] ?? '';
  const passwordFile = path.join(dir, 'password');
  await writeFile(passwordFile, password);
  await chmod(passwordFile, 0o644);
  const init = commandAsUser(user, initdb, ['-D', data, '-U', SUPERUSER, '-A', 'scram-sha-256', '--pwfile', passwordFile, '--no-sync', '-E', 'UTF8', '--locale=C']); // prettier-ignore
  await run(init.command, init.args, {
    cwd: '/',
    env,
    ...(user.kind === 'account' && { uid: user.uid, gid: user.gid }),
  });
  let stop = async (): Promise<void> => {};
  const start = async (at: number): Promise<void> => {
    const options = { port: at, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' };
    const flags = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const { command, args, ...as } = commandAsUser(user, server, ['-D', data, ...flags]);
    await mkdir(path.join(dir, 'logs'), { recursive: true });
    const log = await open(path.join(dir, 'logs', 'postgres.log'), 'a');
    const child = spawn(command, args, { cwd: '/', env, stdio: ['ignore', log.fd, log.fd], ...as });
    await log.close();
    stop = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      // Fast: connections are ended, as a restart of a container does it.
      child.kill('SIGINT');
      await once(child, 'exit');
    };
    await until('Postgres 15', () => answers(urlOf(at, 'postgres', SUPERUSER, password)));
  };
  // As in the image: no client reaches the server before it is set up.
  const aside = await freePort();
  await start(aside);
  try {
    await runInitScript(urlOf(aside, 'postgres', SUPERUSER, password));
    await runOn(urlOf(aside, 'longhaul', 'longhaul', VARIABLES['LONGHAUL_DB_PASSWORD'] ?? ''), [tables]);
  } finally {
    await stop();
  }
  return {
    url: (database, role = SUPERUSER, secret = password) => urlOf(port, database, role, secret),
    stop: () => stop(),
    start: () => start(port),
  };
}

const urlOf = (port: number, database: string, role: string, password: string): string =>
  `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;

/** What the image of the compose file does with an empty data folder: its script, without psql. */
async function runInitScript(url: string): Promise<void> {
  const script = await readFile(path.join(ROOT, 'containers/postgres-init.sh'), 'utf8');
  const text = /<<'SQL'\n([\s\S]*)\nSQL\n/.exec(script)?.[1] ?? '';
  const filled = text.replaceAll(/:'(\w+)'/g, (_, name: string) => `'${VARIABLES[variableOf(name)]}'`);
  await runOn(
    url,
    filled.split(';').filter((part) => part.trim() !== ''),
  );
}

async function runOn(url: string, statements: readonly string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    for (const statement of statements) await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

/** `longhaul_password` is set from LONGHAUL_DB_PASSWORD. */
const variableOf = (name: string): string => name.replace('_password', '_db_password').toUpperCase();

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} });
  try {
    await sql`SELECT 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
