import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'longhaul-command-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The command on a machine that says something else of itself. */
async function onMachine(change: string, bin = join(ROOT, 'bin/longhaul.js')): Promise<{ code: unknown; err: string }> {
  const preload = `data:text/javascript,${encodeURIComponent(change)}`;
  const child = spawn(process.execPath, ['--import', preload, bin, '--version'], {
    env: { PATH: process.env['PATH'], HOME: dir },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, err };
}

test.each(['18.20.8', '20.18.3'])(
  'on Node %s the command prints in one line which version it needs',
  async (version) => {
    const change = `Object.defineProperty(process.versions, 'node', { value: '${version}' });`;
    const { code, err } = await onMachine(change);
    expect(code).toBe(2);
    expect(err).toMatch(/^longhaul: needs Node 20\.19 or newer, found .*\n$/);
  },
);

test('on macOS it prints in one line that it needs Linux', async () => {
  const { code, err } = await onMachine(`Object.defineProperty(process, 'platform', { value: 'darwin' });`);
  expect(code).toBe(2);
  expect(err).toMatch(/^longhaul: needs Linux, found darwin: .*\n$/);
});

test('a driver of another version than the patched one is refused in one line, before anything is started', async () => {
  for (const file of ['package.json', 'bin']) await cp(join(ROOT, file), join(dir, file), { recursive: true });
  const driver = join(dir, 'node_modules/postgres');
  await mkdir(join(dir, 'node_modules'));
  await cp(join(ROOT, 'node_modules/postgres'), driver, { recursive: true });
  const manifest = await readFile(join(driver, 'package.json'), 'utf8');
  await writeFile(join(driver, 'package.json'), manifest.replace('"3.4.9"', '"3.4.10"'));
  const { code, err } = await onMachine('', join(dir, 'bin/longhaul.js'));
  expect(code).toBe(2);
  expect(err).toMatch(/^longhaul: .*expected version 3\.4\.9, found 3\.4\.10 in .*\n$/);
});
