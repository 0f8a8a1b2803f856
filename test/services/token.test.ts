import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLoopback, refuseWithoutToken } from '../../services/listen-host.ts';
import { readOrMakeToken, readToken } from '../../services/token.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'longhaul-token-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const modeOf = async (file: string): Promise<number> => (await stat(file)).mode & 0o777;

test('a token is created once for many concurrent starts, and no other user can read it', async () => {
  const file = join(dir, 'token');
  expect(await readToken(file)).toBeUndefined();
  const made = await Promise.all(Array.from({ length: 10 }, () => readOrMakeToken(file)));
  expect(new Set(made).size).toBe(1);
  expect(made[0]).toMatch(/^[\w-]{43}$/);
  expect(await readFile(file, 'utf8')).toBe(`${made[0]}\n`);
  expect(await modeOf(file)).toBe(0o600);
  expect(await readdir(dir)).toEqual(['token']);
  expect(await readOrMakeToken(file)).toBe(made[0]);
});

test('a token file that others can read is closed to them', async () => {
  const file = join(dir, 'open');
  await writeFile(file, 'x'.repeat(40));
  await chmod(file, 0o644);
  expect(await readOrMakeToken(file)).toBe('x'.repeat(40));
  expect(await modeOf(file)).toBe(0o600);
});

test.each([
  ['nothing', ''],
  ['too little', 'x'.repeat(31)],
  ['two lines', `${'x'.repeat(40)}\n${'y'.repeat(40)}`],
  ['characters that a header cannot have', `${'x'.repeat(40)}ü`],
])('%s is refused as a token', async (name, text) => {
  const file = join(dir, name);
  await writeFile(file, text);
  await expect(readToken(file)).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining(file) as string,
  });
  await expect(readOrMakeToken(file)).rejects.toMatchObject({ code: 'invalid_input' });
  expect(await readFile(file, 'utf8')).toBe(text);
});

test.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost', 'LOCALHOST'])(
  '%s is reachable from this machine only',
  (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(() => refuseWithoutToken({ host, port: 1, fixed: true }, undefined, '/t')).not.toThrow();
  },
);

test.each(['0.0.0.0', '::', '192.168.1.2', 'box.local', '127.0.0.1.example', '1270.0.0.1'])(
  '%s is reachable from other machines',
  (host) => {
    expect(isLoopback(host)).toBe(false);
    const listen = { host, port: 1, fixed: true };
    expect(() => refuseWithoutToken(listen, undefined, '/t')).toThrow(
      /other machines may reach, and there is no token in \/t/,
    );
    expect(() => refuseWithoutToken(listen, 'token', '/t')).not.toThrow();
  },
);
