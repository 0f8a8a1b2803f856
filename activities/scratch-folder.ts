/** The empty folders in which probes and resume checks start agents. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';

/** The names of the folders continue with the pid of their worker. */
const PREFIX = 'probe-';

/** Creates an empty folder in the home. The caller removes it. */
export async function scratchFolder({
  worktreesDir,
  worker,
}: Pick<StepDeps, 'worktreesDir' | 'worker'>): Promise<string> {
  const scratch = scratchIn(worktreesDir);
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  return mkdtemp(path.join(scratch, `${PREFIX}${worker.pid}-`));
}

/** Removes the folders of workers that no longer run. A worker calls it when it starts, before its first probe. */
export async function removeLeftFolders(worktreesDir: string): Promise<void> {
  const scratch = scratchIn(worktreesDir);
  const names = await readdir(scratch).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const left = names.filter(
    (name) => name.startsWith(PREFIX) && !isRunning(Number(name.slice(PREFIX.length).split('-')[0])),
  );
  await Promise.all(left.map((name) => rm(path.join(scratch, name), { recursive: true, force: true })));
}

const scratchIn = (worktreesDir: string): string => path.join(path.dirname(worktreesDir), 'scratch');

/**
 * Whether the process of a folder's name runs. If another program has the pid now, the folder only remains until the
 * next start of a worker.
 */
const isRunning = (pid: number): boolean => pid !== process.pid && existsSync(`/proc/${pid}`);
