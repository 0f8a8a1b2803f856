import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, cp, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { linkLibraries } from '../../../services/postgres/binaries.ts';
import { findPostmaster } from '../../../services/postgres/pidfile.ts';
import { startPostgres, stopPostgres, type RunningPostgres } from '../../../services/postgres/postgres.ts';
import { isAlive } from '../../../processes/identity.ts';
import { waitForExits } from '../../../processes/end.ts';
import { builtModule } from '../../lab/built.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'longhaul-postgres-'));
});

afterEach(async () => {
  await stopAt(home);
});

async function stopAt(folder: string): Promise<void> {
  const postmaster = await findPostmaster(join(folder, 'postgres', 'data'));
  if (postmaster) await stopPostgres(postmaster.identity);
  await rm(folder, { recursive: true, force: true });
}

const start = (folder = home): Promise<RunningPostgres> =>
  startPostgres({ dir: join(folder, 'postgres'), logFile: join(folder, 'postgres.log') });

async function query<Row>(url: string, text: string): Promise<Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await sql.unsafe<(Row & postgres.Row)[]>(text);
  } finally {
    await sql.end();
  }
}

async function killed(server: RunningPostgres): Promise<void> {
  process.kill(server.identity.pid, 'SIGKILL');
  await waitForExits([server.identity], { withinMs: 5_000 });
}

test('a killed server keeps its commits and starts again on its port; a running one is attached to', async () => {
  const first = await start();
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
  await killed(first);
  const second = await start();
  expect(second).toMatchObject({ attached: false, port: first.port, url: first.url });
  expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  const third = await start();
  expect(third).toMatchObject({ attached: true, identity: second.identity, url: second.url });
});

test('it uses UTF-8 in the C locale, syncs to the disk, and requires the password', async () => {
  const { url } = await start();
  const [row] = await query<Record<string, string>>(
    url,
    `SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, current_setting('fsync') AS fsync,
       current_setting('unix_socket_directories') AS sockets, current_setting('listen_addresses') AS listen
     FROM pg_database WHERE datname = current_database()`,
  );
  expect(row).toEqual({ encoding: 'UTF8', datcollate: 'C', fsync: 'on', sockets: '', listen: '127.0.0.1' });
  const wrong = new URL(url);
  wrong.password = 'guess';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  expect((await stat(join(home, 'postgres', 'password'))).mode & 0o777).toBe(0o600);
});

test.each([
  ['removed', (file: string) => rm(file)],
  ['emptied', (file: string) => writeFile(file, '')],
])(
  'a password file that is %s while a killed server is down: a new password is set, commits are kept',
  async (_, lose) => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n');
    await killed(first);
    const file = join(home, 'postgres', 'password');
    await lose(file);
    const second = await start();
    expect(second.url).toContain(`:${await readFile(file, 'utf8')}@`);
    expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
    await expect(query(first.url, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  },
);

test('a password file that holds another password is named, with the command that sets a new one', async () => {
  await start();
  const file = join(home, 'postgres', 'password');
  await writeFile(file, 'another');
  await expect(start()).rejects.toThrow(`longhaul down && rm ${file} && longhaul up -d`);
});

test('a postmaster.pid that names another process, or none, or is empty, does not prevent a start', async () => {
  const pidFile = join(home, 'postgres', 'data', 'postmaster.pid');
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(stranger, 'spawn');
  try {
    await killed(await start());
    const [, ...rest] = (await readFile(pidFile, 'utf8')).split('\n');
    for (const text of [[String(stranger.pid), ...rest].join('\n'), ['999999999', ...rest].join('\n'), '']) {
      await writeFile(pidFile, text);
      expect(await findPostmaster(join(home, 'postgres', 'data'))).toBeUndefined();
      const server = await start();
      expect(server.attached).toBe(false);
      await killed(server);
    }
    expect(stranger.exitCode).toBeNull();
  } finally {
    stranger.kill('SIGKILL');
  }
});

test('files of a killed initdb are removed, foreign files are not touched', async () => {
  const left = join(home, 'postgres', 'data.new-0000');
  await mkdir(join(left, 'base'), { recursive: true });
  await start();
  await expect(access(left)).rejects.toMatchObject({ code: 'ENOENT' });
  await stopAt(home);
  await mkdir(join(home, 'postgres', 'data'), { recursive: true });
  await writeFile(join(home, 'postgres', 'data', 'letter.txt'), 'dear');
  await expect(start()).rejects.toMatchObject({ code: 'service_unreachable', message: expect.stringContaining('move it away') }); // prettier-ignore
  expect(await readFile(join(home, 'postgres', 'data', 'letter.txt'), 'utf8')).toBe('dear');
});

test('data of another major version is refused; the message names the version', async () => {
  const { identity } = await start();
  await stopPostgres(identity);
  await writeFile(join(home, 'postgres', 'data', 'PG_VERSION'), '15\n');
  await expect(start()).rejects.toMatchObject({ message: expect.stringContaining('created by Postgres 15') });
});

test('library links that npm did not create are created, existing ones are kept', async () => {
  const lib = join(home, 'native', 'lib');
  await mkdir(lib, { recursive: true });
  await writeFile(join(lib, 'libpq.so.5.18'), 'x');
  const list = [
    { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so' },
    { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' },
  ];
  await writeFile(join(home, 'native', 'pg-symlinks.json'), JSON.stringify(list));
  await cp(join(lib, 'libpq.so.5.18'), join(lib, 'libpq.so.5'));
  const binaries = { postgres: join(home, 'native/bin/postgres'), initdb: join(home, 'native/bin/initdb') };
  expect(await linkLibraries(binaries, join(home, 'lib'))).toEqual({});
  expect(await readlink(join(lib, 'libpq.so'))).toBe('libpq.so.5.18');
  expect((await stat(join(lib, 'libpq.so.5'))).isFile()).toBe(true);
});

test('for a read-only package the links are created in a folder of the home, and the programs get its path', async () => {
  // Not even root makes links there.
  const list = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so' }];
  await mkdir(join(home, 'native'));
  await symlink('/sys/kernel', join(home, 'native', 'lib'));
  await writeFile(join(home, 'native', 'pg-symlinks.json'), JSON.stringify(list));
  const binaries = { postgres: join(home, 'native/bin/postgres'), initdb: join(home, 'native/bin/initdb') };
  const links = join(home, 'lib');
  for (const _ of ['at the first start', 'and again']) {
    expect(await linkLibraries(binaries, links)).toEqual({ LD_LIBRARY_PATH: `${links}:${join(home, 'native/lib')}` });
    expect(await readlink(join(links, 'libpq.so'))).toBe(join(home, 'native/lib/libpq.so.5.18'));
  }
});

// As another user there is only one way to run, which the tests above use.
const asRoot = process.getuid?.() === 0;

test.runIf(asRoot)('as root, in a folder that others can enter, it runs as an unprivileged account', async () => {
  await chmod(home, 0o711);
  const { identity, url } = await start();
  expect((await stat(join(home, 'postgres', 'data'))).uid).not.toBe(0);
  expect((await stat(`/proc/${identity.pid}`)).uid).not.toBe(0);
  expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await killed({ identity } as RunningPostgres);
  expect((await start()).url).toBe(url);
});

test.runIf(asRoot)('as root, in a folder closed to others, it runs and its files belong to root', async () => {
  const closed = await mkdtemp(join(homedir(), '.longhaul-test-'));
  try {
    const { identity, url } = await start(closed);
    expect((await stat(join(closed, 'postgres', 'data'))).uid).toBe(0);
    expect(await query(url, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    expect(isAlive(identity)).toBe(true);
  } finally {
    await stopAt(closed);
  }
});

/** Starts it, asks it, stops it. */
const TRY = `
const [module, dir, logFile] = process.argv.slice(1);
const { startPostgres, attachPostgres, stopPostgres } = await import(module);
try {
  const first = await startPostgres({ dir, logFile });
  const again = await attachPostgres({ dir, logFile });
  await stopPostgres(first.identity);
  const second = await startPostgres({ dir, logFile });
  await stopPostgres(second.identity);
  console.log(JSON.stringify({ uid: process.getuid(), attached: again?.identity.pid === first.identity.pid }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}`;

/** In a namespace where our files belong to a user id that has no account, as in a container that was given one. */
async function tryWithoutAccount(env: NodeJS.ProcessEnv): Promise<unknown> {
  const node = [process.execPath, '--input-type=module', '-e', TRY, builtModule('services/postgres/postgres')];
  const args = ['-U', '--map-user=4242', '--map-group=4242', ...node, join(home, 'postgres'), join(home, 'log')];
  const { stdout } = await promisify(execFile)('/usr/bin/unshare', args, { env });
  return JSON.parse(stdout);
}

test('a user id without an account can start it', async () => {
  expect(await tryWithoutAccount(process.env)).toEqual({ uid: 4242, attached: true });
});

test('… and without user namespaces is refused in one message that says what to do', async () => {
  const refused = (await tryWithoutAccount({ ...process.env, PATH: '/nowhere' })) as { code: string; message: string };
  expect(refused).toEqual({
    code: 'invalid_input',
    message: expect.stringMatching(/uid 4242.*DATABASE_URL\.$/) as string,
  });
});
