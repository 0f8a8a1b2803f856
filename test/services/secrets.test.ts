/** What other users of the machine must not read, nor replace. Only root can give a file to another user. */
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withoutPassword, withPassword } from '../../services/postgres/password.ts';
import { homePaths, prepareHome, readState, writeState } from '../../services/home/home.ts';
import { refuseWritableByOthers } from '../../services/home/private-folder.ts';
import { writeAuthHeader, readToken } from '../../services/token.ts';

const OTHER_UID = 4242;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'longhaul-secrets-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;
const stateWith = (databaseUrl: string) => ({
  supervisor: { pid: 1, startTime: '0', bootId: 'old' },
  repairs: 0,
  facts: { databaseUrl },
  parts: [],
});

test.each([
  ['postgres://longhaul:sesame@127.0.0.1:5433/longhaul'],
  ['postgres://me:s%3Aes%5Came%40%2F@db.example/x?sslmode=require'],
  ['postgresql://me:sesame@[::1]:5432/x'],
  ['postgres://me@db.example:5432/x'],
])("the record of the home has no password, and the home's owner gets the complete %s", async (url) => {
  const paths = await prepareHome(join(dir, 'home'));
  await writeState(paths, stateWith(url));
  const secret = new URL(url).password;
  const record = await readFile(paths.stateFile, 'utf8');
  expect(record).toContain(new URL(url).host);
  if (secret !== '') {
    expect(record).not.toContain(secret);
    expect(record).not.toContain(decodeURIComponent(secret));
    expect(await modeOf(paths.passfile)).toBe(0o600);
  }
  const read = new URL((await readState(paths))?.facts.databaseUrl ?? '');
  expect(decodeURIComponent(read.password)).toBe(decodeURIComponent(secret));
  expect(withoutPassword(read.href)).toBe(withoutPassword(url));
});

test('the passfile has the format of libpq, for this server only', async () => {
  const paths = await prepareHome(join(dir, 'home'));
  await writeState(paths, stateWith('postgres://me:a%3Ab%5Cc@db.example/x'));
  expect(await readFile(paths.passfile, 'utf8')).toBe('db.example:5432:*:me:a\\:b\\\\c\n');
  for (const other of ['postgres://me@other.example/x', 'postgres://you@db.example/x', 'postgres://me@db.example:1/x'])
    expect(await withPassword(paths.passfile, other)).toBe(other);
  await writeState(paths, stateWith('postgres://me@db.example/x'));
  await expect(stat(paths.passfile)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('an address is shown without any secret, also an invalid one', () => {
  expect(withoutPassword('postgres://me:sesame@h/x?password=sesame&sslpassword=sesame&sslmode=require')).toBe(
    'postgres://me@h/x?sslmode=require',
  );
  expect(withoutPassword('postgres://me:sesame@h:port/x')).not.toContain('sesame');
});

test('a home that others can read, write or enter is closed, with its files', async () => {
  const home = join(dir, 'home');
  const folders = ['logs', 'run', 'temporal', 'slots', 'locks', 'worktrees'].map((name) => join(home, name));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  for (const folder of [home, ...folders]) await chmod(folder, 0o777);
  await prepareHome(home);
  for (const folder of [home, ...folders]) expect([folder, await modeOf(folder)]).toEqual([folder, 0o700]);
});

test.runIf(process.getuid?.() === 0)(
  'where root runs Postgres as another account, that may pass and no more',
  async () => {
    const home = join(dir, 'home');
    const data = join(home, 'postgres', 'data');
    await mkdir(data, { recursive: true });
    await chown(data, OTHER_UID, OTHER_UID);
    for (const folder of [home, join(home, 'postgres')]) await chmod(folder, 0o777);
    await prepareHome(home);
    for (const folder of [home, join(home, 'postgres')]) expect(await modeOf(folder)).toBe(0o701);
  },
);

test.runIf(process.getuid?.() === 0)('a home of another user is refused in one line, and untouched', async () => {
  const home = join(dir, 'home');
  await mkdir(home, { mode: 0o777 });
  await chmod(home, 0o777);
  await chown(home, OTHER_UID, OTHER_UID);
  await expect(prepareHome(home)).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringMatching(/^[^\n]*uid 4242[^\n]*$/) as string,
  });
  expect(await modeOf(home)).toBe(0o777);
  expect(await readdir(home)).toEqual([]);
});

test.runIf(process.getuid?.() === 0)('a token, passfile or header of another user is refused', async () => {
  const paths = homePaths(dir);
  await mkdir(paths.run);
  await writeState(paths, stateWith('postgres://me:sesame@db.example/x'));
  await writeAuthHeader(paths.authHeaderFile, 'x'.repeat(40));
  await writeFile(paths.tokenFile, 'x'.repeat(40));
  for (const file of [paths.tokenFile, paths.passfile, paths.authHeaderFile]) await chown(file, OTHER_UID, OTHER_UID);
  const refused = { code: 'invalid_input', message: expect.stringContaining('uid 4242') as string };
  await expect(readToken(paths.tokenFile)).rejects.toMatchObject(refused);
  await expect(readState(paths)).rejects.toMatchObject(refused);
  await expect(writeAuthHeader(paths.authHeaderFile, 'y'.repeat(40))).rejects.toMatchObject(refused);
});

test('a cache that others can write to is closed to them, because it contains programs that we run', async () => {
  await chmod(dir, 0o777);
  await refuseWritableByOthers(dir);
  expect(await modeOf(dir)).toBe(0o755);
});

test.runIf(process.getuid?.() === 0)('a cache of another user is refused', async () => {
  await chown(dir, OTHER_UID, OTHER_UID);
  await expect(refuseWritableByOthers(dir)).rejects.toMatchObject({ code: 'invalid_input' });
  await chown(dir, 0, 0);
});
