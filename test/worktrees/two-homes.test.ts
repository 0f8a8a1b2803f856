/** Two homes on one repository: each has a lock of its own for it, so that nothing keeps one's steps from the other's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
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

test.for(['', 'config.worktree'])('both create and remove worktrees at the same time (%s)', async (special) => {
  const { root, repository } = await openLab();
  const git = path.join(repository.path, '.git');
  // With it entries are left to `git worktree add`.
  if (special) await repository.git('config', 'extensions.worktreeConfig', 'true');
  if (special) await writeFile(path.join(git, special), '');
  const before = await repository.fingerprint();
  const homes = ['one', 'two'].map((name) => homeAtWork(path.join(root, name), repository.path));
  for (const rounds of await Promise.all(homes)) expect(rounds).toBeGreaterThan(10);
  expect(await repository.fingerprint()).toEqual(before);
});

test("unfinished entries of another home stay, those of this home's killed steps are removed", async () => {
  const { repository, create } = await openLab();
  const git = path.join(repository.path, '.git');
  const others = path.join(git, 'longhaul-entry-home-0123456789abcdef-x');
  const unplaced = path.join(git, 'worktrees', 'other');
  for (const folder of [others, unplaced]) await mkdir(folder, { recursive: true });
  await writeFile(path.join(unplaced, 'locked'), 'Longhaul: an agent works here (home-0123456789abcdef)\n');
  const tree = await create();
  await tree.remove();
  expect((await readdir(git)).filter((name) => name.startsWith('longhaul-'))).toEqual([path.basename(others)]);
  expect(await readdir(path.join(git, 'worktrees'))).toEqual(['other']);
});
