/** A Postgres that runs and does not answer in time: commands wait for it, and never ask to start what runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { builtCommand } from '../lab/built.ts';
import { type LabHome, startHome } from '../lab/home.ts';

let lab: LabHome;
beforeAll(async () => {
  lab = await startHome();
});
afterAll(() => lab.close());

test('a command waits while Postgres is suspended, and succeeds afterwards', async () => {
  const { pid } = await lab.processOf('postgres');
  process.kill(pid, 'SIGSTOP');
  const command = spawn(process.execPath, [builtCommand(), 'ls'], {
    env: { ...process.env, LONGHAUL_HOME: lab.home },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  command.stderr.on('data', (bytes) => {
    said += String(bytes);
    if (said.includes('is busy')) process.kill(pid, 'SIGCONT');
  });
  try {
    expect(await once(command, 'exit')).toEqual([0, null]);
    expect(said).toBe(`Postgres (pid ${pid}) is busy: waiting for its response\n`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a command reports that Postgres is busy if it does not respond within 30 s', async () => {
  const { pid } = await lab.processOf('postgres');
  process.kill(pid, 'SIGSTOP');
  try {
    const { code, stderr } = await lab.command('ls');
    expect(code).toBe(4);
    expect(stderr).toMatch(
      new RegExp(`longhaul: Postgres runs at 127.* \\(pid ${pid}\\), but did not respond within 30 s`),
    );
    expect(stderr).not.toContain('Start the services');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});
