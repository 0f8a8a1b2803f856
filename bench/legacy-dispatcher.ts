/**
 * The dispatcher that Longhaul replaces, rebuilt for comparison. It reads its table every five seconds, has one task at
 * a time, in memory, and does its work one step after another: worktree, agent, diff, insert. If it finds several
 * pending rows, it takes the oldest one; the others wait for the next poll.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { connect, type Sql } from '../store/sql.ts';
import { runPeer } from './acp-peer.ts';

const POLL_MS = 5_000;
const run = promisify(execFile);

/**
 * Dispatchers side by side use one repository, in which git cannot add two worktrees at once. A single dispatcher never
 * has this conflict, so the dispatchers wait for each other here.
 */
let worktreesFree: Promise<unknown> = Promise.resolve();
async function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  const done = worktreesFree.then(work);
  worktreesFree = done.catch(() => undefined);
  return done;
}

export interface LegacyStart {
  readonly databaseUrl: string;
  readonly project: string;
  /** The folder in which the dispatchers make their worktrees. */
  readonly folder: string;
  readonly command: string;
  /**
   * One schema, with a table of its own, for each dispatcher. The dispatchers run side by side, so that several waits
   * are measured in the time of one.
   */
  readonly schemas: readonly string[];
}

async function makeTables(sql: Sql, schema: string): Promise<void> {
  await sql.unsafe(`
    DROP SCHEMA IF EXISTS ${schema} CASCADE;
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.tasks (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(), input text NOT NULL, state text NOT NULL DEFAULT 'pending',
      created_at timestamptz NOT NULL DEFAULT now(), spawned_at timestamptz, ended_at timestamptz);
    CREATE TABLE ${schema}.pending_changes (task_id uuid NOT NULL, diff text NOT NULL);`);
}

interface Dispatcher extends Omit<LegacyStart, 'schemas' | 'databaseUrl'> {
  readonly sql: Sql;
  readonly schema: string;
}

async function runTask(
  { sql, schema, project, folder: root, command }: Dispatcher,
  id: string,
  input: string,
): Promise<void> {
  const tasks = sql(`${schema}.tasks`);
  const folder = await mkdtemp(path.join(root, 'legacy-'));
  const worktree = path.join(folder, 'worktree');
  const git = async (cwd: string, ...words: string[]): Promise<string> => (await run('git', words, { cwd })).stdout;
  try {
    await sql`UPDATE ${tasks} SET state = 'running' WHERE id = ${id}`;
    await oneAtATime(() => git(project, 'worktree', 'add', '--quiet', '--detach', worktree));
    const onSpawn = async (): Promise<void> => {
      await sql`UPDATE ${tasks} SET spawned_at = clock_timestamp() WHERE id = ${id}`;
    };
    await runPeer({ command, args: [], cwd: worktree, env: process.env, prompt: input, onSpawn });
    await git(worktree, 'add', '--all');
    const diff = await git(worktree, 'diff', '--cached', '--binary');
    await sql`INSERT INTO ${sql(`${schema}.pending_changes`)} (task_id, diff) VALUES (${id}, ${diff})`;
    await oneAtATime(() => git(project, 'worktree', 'remove', '--force', worktree));
    await sql`UPDATE ${tasks} SET state = 'completed', ended_at = clock_timestamp() WHERE id = ${id}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function startDispatcher(dispatcher: Dispatcher, onFailure: (error: unknown) => void): void {
  const { sql, schema } = dispatcher;
  let busy = false;
  const look = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      const [task] = await sql<{ id: string; input: string }[]>`
        SELECT id, input FROM ${sql(`${schema}.tasks`)} WHERE state = 'pending' ORDER BY created_at LIMIT 1`;
      if (task) await runTask(dispatcher, task.id, task.input);
    } finally {
      busy = false;
    }
  };
  setInterval(() => void look().catch(onFailure), POLL_MS);
}

async function start({ databaseUrl, schemas, ...rest }: LegacyStart): Promise<void> {
  const sql = connect(databaseUrl, { max: schemas.length, applicationName: 'legacy dispatcher' });
  for (const schema of schemas) {
    await makeTables(sql, schema);
    startDispatcher({ ...rest, sql, schema }, (error) => {
      process.stderr.write(`legacy dispatcher ${schema}: ${String(error)}\n`);
      process.exit(1);
    });
  }
}

process.on('message', (wanted: LegacyStart) => {
  start(wanted).then(
    () => process.send?.({ started: true }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
