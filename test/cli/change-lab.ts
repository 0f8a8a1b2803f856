/** Changes as the steps store them, taken out by the real command. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { APPLY } from '../../cli/apply-recipe.ts';
import { queueCollected, storeDiff } from '../../store/collected-diffs.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { findMirror } from '../../worktrees/mirror.ts';
import { makeWorktrees, taskRef } from '../../worktrees/worktrees.ts';
import { builtModule } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import {
  gitIn,
  makeFolder,
  makeRepository,
  removeFolder,
  type Files,
  type SampleRepository,
} from '../lab/repositories.ts';

const run = promisify(execFile);

export interface Ran {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ChangeLab {
  readonly database: LabDatabase;
  readonly root: string;
  /** A project, known to the database. */
  project(files?: Files, name?: string): Promise<ChangeProject>;
  longhaul(cwd: string, ...args: string[]): Promise<Ran>;
  /** `longhaul diff …`, piped into git from a subfolder of this checkout, as the README says. */
  take(checkout: string, ...args: string[]): Promise<Ran>;
  close(): Promise<void>;
}

export interface ChangeProject {
  readonly repository: SampleRepository;
  /** Git in the project's mirror, where the results are. */
  results(...args: string[]): Promise<string>;
  /** Brings all results into a repository, as `longhaul fetch` does it for one task. */
  fetchInto(folder: string): Promise<unknown>;
  /** Queues what `work` does in a fresh worktree; undefined: it did nothing. */
  change(work: (worktree: string) => Promise<void>, before?: QueuedTask): Promise<QueuedTask | undefined>;
}

export interface QueuedTask {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly base: string;
  readonly commit: string;
}

export async function openChangeLab(): Promise<ChangeLab> {
  const database = await freshDatabase();
  const root = await makeFolder();
  const env = {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    LONGHAUL_HOME: path.join(root, 'home'),
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_CONFIG_FILE: '/dev/null',
  };
  const command = (file: string, args: readonly string[], cwd: string): Promise<Ran> =>
    run(file, [...args], { cwd, env, encoding: 'buffer', maxBuffer: 1024 ** 3 }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr: stderr.toString() }),
      (error: { code: number; stdout: Buffer; stderr: Buffer }) => ({
        code: error.code,
        stdout: error.stdout,
        stderr: error.stderr.toString(),
      }),
    );
  const main = builtModule('cli/main');
  return {
    database,
    root,
    project: (files, name = 'project') => openProject(database, root, { name, ...(files && { files }) }),
    longhaul: (cwd, ...args) => command(process.execPath, [main, ...args], cwd),
    async take(checkout, ...args) {
      const subfolder = path.join(checkout, 'a subfolder', 'below');
      await mkdir(subfolder, { recursive: true });
      const line = `"$0" "$@" | ${APPLY}`;
      return command('bash', ['-o', 'pipefail', '-c', line, process.execPath, main, 'diff', ...args], subfolder);
    },
    async close() {
      await database.drop();
      await removeFolder(root);
    },
  };
}

async function openProject(
  { sql }: LabDatabase,
  root: string,
  { name, files }: { name: string; files?: Files },
): Promise<ChangeProject> {
  const repository = await makeRepository(path.join(root, name), files);
  const locksDir = path.join(root, 'home', 'locks');
  const worktrees = makeWorktrees({ locksDir });
  const mirror = (): string => findMirror(locksDir, path.join(repository.path, '.git')) ?? repository.path;
  const [project] = await sql<{ id: string }[]>`
    INSERT INTO projects (name, path) VALUES (${name}, ${repository.path}) RETURNING id`;
  return {
    repository,
    results: (...args) => gitIn(mirror(), ...args),
    fetchInto: (folder) =>
      gitIn(folder, 'fetch', '--quiet', '--no-recurse-submodules', mirror(), '+refs/longhaul/*:refs/longhaul/*'),
    async change(work, before) {
      const taskId = randomUUID() as TaskId;
      const sessionId = before?.sessionId ?? (randomUUID() as SessionId);
      const place = { projectPath: repository.path, worktreePath: path.join(root, 'home', 'worktrees', taskId) };
      const { base, worktreePath } = await worktrees.create({ ...place, ...(before && { base: before.commit }) });
      await work(worktreePath);
      const found = await worktrees.collect({ ...place, base, ref: taskRef(taskId), message: 'Do it' });
      await worktrees.remove(place);
      if (found.kind === 'none') return undefined;
      if (found.kind !== 'changed') throw new Error(`expected a change, found ${JSON.stringify(found)}`);
      if (!before) await sql`INSERT INTO sessions (id, project_id) VALUES (${sessionId}, ${project?.id ?? null})`;
      await sql`
        INSERT INTO tasks (id, project_id, session_id, input, state, ended_at)
        VALUES (${taskId}, ${project?.id ?? null}, ${sessionId}, 'Do it', 'completed', now())`;
      await storeDiff(sql, taskId, base, found);
      await sql.begin((tx) => queueCollected(tx, { taskId, partial: false }));
      return { taskId, sessionId, base, commit: found.commit };
    },
  };
}

/** A user's checkout of the project at a commit, whose git would change what it applies if it were let. */
export async function checkoutOf(project: ChangeProject, to: string, commit: string): Promise<string> {
  await cp(path.join(project.repository.path, '.git'), path.join(to, '.git'), { recursive: true });
  await project.fetchInto(to);
  await gitIn(to, 'config', 'apply.whitespace', 'fix');
  await gitIn(to, 'read-tree', '--reset', '-u', commit);
  return to;
}

/** The id of the tree that the files of a checkout make. */
export async function treeIdOf(checkout: string): Promise<string> {
  await gitIn(checkout, 'add', '--all', '--force');
  return gitIn(checkout, 'write-tree');
}
