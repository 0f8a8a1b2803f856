/** How `longhaul up` ends where what it stands on ends under it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn } from 'node-pty';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../services/home/home.ts';
import { lockHolder } from '../../services/home/lock.ts';
import { builtCommand } from '../lab/built.ts';
import { longhaul } from '../lab/longhaul.ts';
import { until } from '../lab/until.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'longhaul-ends-'));
});
afterEach(async () => {
  await longhaul(home, ['down'], {}, 60_000);
  await rm(home, { recursive: true, force: true });
});

test('the supervisor killed while up -d waits for it: up reports it and exits with code 4', async () => {
  const up = longhaul(home, ['up', '-d'], {}, 120_000);
  const supervisor = await until('the supervisor', () => lockHolder(homePaths(home).lock), 60_000);
  process.kill(supervisor.pid, 'SIGKILL');
  expect(await up).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/longhaul: The supervisor ended \(ended by SIGKILL\)/) as string,
  });
}, 180_000);

test('the terminal of a foreground up is closed: all parts are stopped, and up exits with code 0', async () => {
  const terminal = spawn(process.execPath, [builtCommand(), 'up'], { env: { ...process.env, LONGHAUL_HOME: home } });
  const ended = new Promise<unknown>((resolve) => terminal.onExit(resolve));
  await until('the supervisor', () => lockHolder(homePaths(home).lock), 60_000);
  (terminal as unknown as { destroy(): void }).destroy();
  expect(await ended).toEqual({ exitCode: 0, signal: 0 });
  expect(await longhaul(home, ['status', '--json'])).toMatchObject({ code: 4 });
}, 180_000);
