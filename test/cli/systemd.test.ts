/** The unit that `longhaul systemd` prints, looked at by systemd itself where it is there. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findOnPath } from '../../services/temporal/binary.ts';
import { builtCommand } from '../lab/built.ts';
import { longhaul } from '../lab/longhaul.ts';

const run = promisify(execFile);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'longhaul-systemd-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('the unit has absolute paths and the settings of the shell, and no secret', async () => {
  const home = path.join(dir, 'a home with 100% "quotes"');
  const secrets = { DATABASE_URL: 'postgres://me:sesame@h/x', TEMPORAL_API_KEY: 'sesame', OPENAI_API_KEY: 'sesame' };
  const { code, stdout, stderr } = await longhaul(home, ['systemd'], { ...secrets, LONGHAUL_AGENT_SLOTS: '3' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).not.toContain('sesame');
  expect(stdout).toContain('DATABASE_URL, TEMPORAL_API_KEY');
  expect(stdout).toContain(`ExecStart="${process.execPath}" "${builtCommand()}" up\n`);
  expect(stdout).toContain('Environment="LONGHAUL_AGENT_SLOTS=3"\n');
  expect(stdout).toContain('100%% \\"quotes\\""\n');

  if ((await findOnPath('systemd-analyze', process.env['PATH'] ?? '')) === undefined) return;
  await mkdir(home);
  const unit = path.join(dir, 'longhaul.service');
  await writeFile(unit, stdout);
  const checked = await run('systemd-analyze', ['verify', '--man=no', unit]);
  expect(checked).toEqual({ stdout: '', stderr: '' });
  // It checks: a directive that does not exist is reported.
  await writeFile(unit, stdout.replace('KillMode=process', 'KillMood=process'));
  expect((await run('systemd-analyze', ['verify', '--man=no', unit])).stderr).toContain('KillMood');
});
