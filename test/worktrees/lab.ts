/** A repository, a place for worktrees, and the calls under test with the arguments that never vary. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { CollectOutcome, CollectedChange } from '../../worktrees/collect.ts';
import type { MadeWorktree } from '../../worktrees/create.ts';
import { lockFileName } from '../../worktrees/repository-lock.ts';
import { type Worktrees, makeWorktrees, taskRef } from '../../worktrees/worktrees.ts';
import {
  type Files,
  type SampleRepository,
  gitIn,
  makeFolder,
  makeRepository,
  removeFolder,
  writeFiles,
} from '../lab/repositories.ts';

export interface Lab {
  readonly root: string;
  readonly locksDir: string;
  readonly repository: SampleRepository;
  /** Path of the project's mirror, which the first worktree makes. */
  readonly mirror: string;
  /** Git in the mirror, where the results are. */
  readonly inMirror: (...args: string[]) => Promise<string>;
  readonly worktrees: Worktrees;
  readonly create: (name?: string) => Promise<AgentTree>;
}

/** A worktree in the hands of an agent. */
export interface AgentTree extends MadeWorktree {
  readonly ref: string;
  file(name: string): string;
  write(files: Files): Promise<void>;
  collect(): Promise<CollectOutcome>;
  /** Collects what must be a change. */
  change(): Promise<CollectedChange>;
  reset(): Promise<{ warnings: string[] }>;
  remove(): Promise<{ removed: boolean }>;
}

export async function openLab(files?: Files, name = 'project'): Promise<Lab> {
  const root = await makeFolder();
  onTestFinished(() => removeFolder(root));
  const repository = await makeRepository(path.join(root, name), files);
  const locksDir = path.join(root, 'home', 'locks');
  const worktrees = makeWorktrees({ locksDir, root: path.join(root, 'home', 'worktrees') });
  const create = async (name = 'task-1'): Promise<AgentTree> => {
    const worktreePath = path.join(root, 'home', 'worktrees', 'sessions', name);
    const made = await worktrees.create({ projectPath: repository.path, worktreePath });
    return agentTree(worktrees, repository.path, made);
  };
  const mirror = path.join(root, 'home', 'mirrors', `${lockFileName(path.join(repository.path, '.git'))}.git`);
  const inMirror = (...args: string[]): Promise<string> => gitIn(mirror, ...args);
  return { root, locksDir, repository, mirror, inMirror, worktrees, create };
}

export function agentTree(worktrees: Worktrees, projectPath: string, made: MadeWorktree): AgentTree {
  const { worktreePath, base } = made;
  const ref = taskRef(path.basename(worktreePath).replace(/[^\w-]/g, '_'));
  const collect = (): Promise<CollectOutcome> =>
    worktrees.collect({ projectPath, worktreePath, base, ref, message: 'Do it' });
  return {
    ...made,
    ref,
    collect,
    file: (name) => path.join(worktreePath, name),
    write: (files) => writeFiles(worktreePath, files),
    async change() {
      const collected = await collect();
      if (collected.kind !== 'changed') throw new Error(`expected a change, found ${JSON.stringify(collected)}`);
      return collected;
    },
    reset: () => worktrees.reset({ worktreePath, base }),
    remove: () => worktrees.remove({ projectPath, worktreePath }),
  };
}

/** A process that has ended but was not waited for by its parent yet does not run. */
export function isRunning(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z');
  } catch {
    return false;
  }
}

/** What step.ts runs. */
export interface StepRequest {
  readonly step: 'create' | 'collect' | 'reset' | 'remove';
  readonly locksDir: string;
  readonly root: string;
  readonly projectPath: string;
  readonly worktreePath: string;
  readonly base: string;
  readonly ref: string;
}
