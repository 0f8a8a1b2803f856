import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { git, gitError, gitText, tryGit } from '../../worktrees/git.ts';
import { OWNER_VARIABLE } from '../../worktrees/git-owner.ts';
import { isRunning, openLab } from './lab.ts';

test("the error of a failed command has its name, its exit code and git's last output", async () => {
  const { repository } = await openLab();
  await expect(git(['checkout', '--quiet', 'no-such-branch'], { cwd: repository.path })).rejects.toMatchObject({
    code: 'git_failed',
    message: `git checkout in ${repository.path} failed with exit code 1: error: pathspec 'no-such-branch' did not match any file(s) known to git`,
  });
});

test('a full disk is distinguished from other failures', () => {
  const stderr = 'error: unable to write file a\nfatal: write error: No space left on device\n';
  const error = gitError(['add'], '/p', { exitCode: 128, stdout: Buffer.alloc(0), stderr, truncated: false });
  expect(error).toMatchObject({ code: 'disk_full', message: expect.stringContaining('No space left on device') });
});

test("a command waits while the user's own git holds the index", async () => {
  const { repository } = await openLab();
  const lock = path.join(repository.path, '.git', 'index.lock');
  await writeFile(lock, '');
  const running = git(['rm', '--quiet', '--cached', 'README.md'], { cwd: repository.path });
  await sleep(150); // The user's git takes this long; the command must outlast it.
  await rm(lock);
  await running;
  expect(await repository.git('ls-files', 'README.md')).toBe('');
});

test('a lock that remains is named after a few seconds', async () => {
  const { repository } = await openLab();
  const lock = path.join(repository.path, '.git', 'packed-refs.lock');
  await writeFile(lock, '');
  await expect(git(['pack-refs', '--all'], { cwd: repository.path })).rejects.toMatchObject({
    code: 'repository_locked',
    message: expect.stringContaining(lock),
  });
});

test('an aborted command has exited with all its children when the call returns', async () => {
  const { repository, root } = await openLab();
  const abort = new AbortController();
  const pidFile = path.join(root, 'pid');
  const running = git(['hang'], {
    cwd: repository.path,
    settings: { 'alias.hang': `!sh -c 'trap "" TERM; echo $$ > ${pidFile}; while :; do sleep 0.05; done'` },
    signal: abort.signal,
  });
  const pid = await vi.waitFor(
    async () => Number((await readFile(pidFile, 'utf8')).trim() || 'x') || Promise.reject(new Error()),
  );
  abort.abort(new Error('stopped'));
  await expect(running).rejects.toThrow('stopped');
  expect(isRunning(pid)).toBe(false);
});

test('a command that exceeds its deadline is ended, and the error says so', async () => {
  const { repository } = await openLab();
  const options = { cwd: repository.path, settings: { 'alias.hang': '!sleep 60' }, deadlineMs: 100 };
  await expect(git(['hang'], options)).rejects.toMatchObject({ code: 'step_timeout' });
});

test('output beyond its limit ends the command and is cut there', async () => {
  const { repository } = await openLab();
  const outcome = await tryGit(['endless'], {
    cwd: repository.path,
    settings: { 'alias.endless': '!yes' },
    maxStdoutBytes: 100_000,
  });
  expect(outcome).toMatchObject({ truncated: true });
  expect(outcome.stdout.length).toBe(100_000);
});

test("git gets none of the worker's variables but paths and the marker", async () => {
  const { repository } = await openLab();
  vi.stubEnv('DATABASE_URL', 'postgres://secret');
  vi.stubEnv('GIT_DIR', '/nowhere');
  try {
    const seen = await gitText(['show-env'], { cwd: repository.path, settings: { 'alias.show-env': '!env' } });
    expect(seen).not.toContain('secret');
    expect(seen).not.toContain('/nowhere');
    expect(seen).toContain(`${OWNER_VARIABLE}=`);
  } finally {
    vi.unstubAllEnvs();
  }
});

test('a missing git is reported', async () => {
  const script = `import { git } from './worktrees/git.ts'; git(['version'], { cwd: '/' }).catch((e) => console.log(e.message));`;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script];
  const said = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, args, { env: { PATH: '/nonexistent' } }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  expect(said).toContain('git was not found on PATH. Install git 2.39 or newer.');
});
