/** `longhaul psql` and `status --get`: what a person types instead of a password or a token in an argument. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { homePaths, prepareHome, writeState } from '../../services/home/home.ts';
import { addressesText } from '../../cli/status.ts';
import type { Status } from '../../services/status.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { longhaul } from '../lab/longhaul.ts';

/** Stands for psql, which is not on every machine: says what it was started with. */
const RECORDER = `#!/bin/sh
printf '%s\\n' "$@"
echo "PGPASSWORD=$PGPASSWORD"
exit 7
`;

let dir: string;
let database: LabDatabase;
let password: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'longhaul-psql-'));
  database = await freshDatabase();
  ({ password } = new URL(database.url));
  expect(password).not.toBe('');
  await writeFile(path.join(dir, 'psql'), RECORDER);
  await chmod(path.join(dir, 'psql'), 0o755);
  const paths = await prepareHome(path.join(dir, 'home'));
  const facts = { databaseUrl: database.url, backendUrl: 'http://127.0.0.1:4711' };
  await writeState(paths, {
    supervisor: { pid: 1, startTime: '0', bootId: 'old' },
    repairs: 0,
    facts,
    parts: [],
  });
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

const inHome = (...args: string[]) => longhaul(path.join(dir, 'home'), args, { PATH: `${dir}:${process.env['PATH']}` });

test('psql gets the password by its environment, and all arguments after its name', async () => {
  const ran = await inHome('psql', '-X', '--csv', '-c', 'SELECT 1', '-v', 'a=b c');
  expect(ran).toMatchObject({ code: 7, stderr: '' });
  const [option, address, ...rest] = ran.stdout.trimEnd().split('\n');
  expect(option).toBe('--dbname');
  expect(address).toContain(new URL(database.url).host);
  expect(address).not.toContain(password);
  expect(rest).toEqual(['-X', '--csv', '-c', 'SELECT 1', '-v', 'a=b c', `PGPASSWORD=${password}`]);
});

test('without psql one message says what to install and where the password is', async () => {
  const { code, stderr } = await longhaul(path.join(dir, 'home'), ['psql'], { PATH: path.join(dir, 'none') });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^longhaul: psql is not on PATH: .*PGPASSFILE[^\n]*\n$/);
});

test('without a database the message of psql says what to start', async () => {
  expect(await longhaul(path.join(dir, 'other'), ['psql'])).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('longhaul up -d') as string,
  });
});

test('status prints the address without the password, with --json including it, and single values for scripts', async () => {
  const { stdout: json } = await inHome('status', '--json');
  expect(json).toContain(password);
  const text = addressesText(JSON.parse(json) as Status);
  expect(text).toContain(new URL(database.url).host);
  expect(text).not.toContain(password);
  expect(await inHome('status', '--get', 'backend_url')).toEqual({
    code: 0,
    stdout: 'http://127.0.0.1:4711\n',
    stderr: '',
  });
  const { passfile } = homePaths(path.join(dir, 'home'));
  expect((await inHome('status', '--get', 'pgpass_file')).stdout).toBe(`${passfile}\n`);
  expect(await inHome('status', '--get', 'token_file')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('longhaul up -d') as string,
  });
});
