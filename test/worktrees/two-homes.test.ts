/** Two homes on one repository: each has a mirror of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { openLab, type StepRequest } from './lab.ts';

const WORK_MS = 6_000;

/** The rounds that it made. One that hangs is killed, and made none. */
async function homeAtWork(home: string, projectPath: string): Promise<number> {
  const places = { locksDir: path.join(home, 'locks'), root: path.join(home, 'worktrees'), projectPath };
  const request: StepRequest = { step: 'rounds', ...places, worktreePath: '', base: '', ref: '', ms: WORK_MS };
  const args = ['--import', 'tsx', path.join(import.meta.dirname, 'step.ts'), JSON.stringify(request)];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: WORK_MS * 4,
    killSignal: 'SIGKILL',
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const [said] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return Number(/^rounds: (\d+)$/m.exec(said)?.[1] ?? 0);
}

test('both create and remove worktrees at the same time', async () => {
  const { root, repository } = await openLab();
  const before = await repository.fingerprint();
  const homes = ['one', 'two'].map((name) => homeAtWork(path.join(root, name), repository.path));
  for (const rounds of await Promise.all(homes)) expect(rounds).toBeGreaterThan(10);
  expect(await repository.fingerprint()).toEqual(before);
});
