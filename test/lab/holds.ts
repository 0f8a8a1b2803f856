/**
 * Holds a step at one moment, from outside: a statement waits in Postgres, a git waits before it begins, or another
 * process has the lock that the step needs. The product knows nothing of it.
 */
import path from 'node:path';
import { connect, isConnectionLoss, type Sql } from '../../store/sql.ts';
import { withLock } from '../../worktrees/repository-lock.ts';
import type { HeldGit } from './held-git.ts';
import { until } from './until.ts';

/** What is being held, until it is let go. A service that dies may let go earlier. */
export interface Held {
  /** How many statements, processes or steps wait here now. */
  waiting(): Promise<number>;
  release(): Promise<void>;
}

/** A statement that waits: the trigger runs before it. */
export interface Statement {
  readonly on: string;
  readonly event: 'INSERT' | 'UPDATE';
  /** SQL on OLD and NEW. */
  readonly when?: string;
}

/** One advisory lock for all: a cell holds one moment. Steps share it, so that they do not wait for each other. */
const LOCK_KEY = 4_700_815;
const TRIGGER = 'held_by_a_test';
/** Only ends what hangs. */
const RELEASE_TIMEOUT_MS = 120_000;

/** Statements like this wait from now on. */
export async function holdStatement(databaseUrl: string, { on, event, when }: Statement): Promise<Held> {
  const sql = connect(databaseUrl, { max: 1, applicationName: 'fault matrix' });
  await sql`SELECT pg_advisory_lock(${LOCK_KEY})`;
  await sql.unsafe(`
    CREATE OR REPLACE FUNCTION ${TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${LOCK_KEY}); RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER ${TRIGGER} BEFORE ${event} ON ${on} FOR EACH ROW
      ${when === undefined ? '' : `WHEN (${when})`} EXECUTE FUNCTION ${TRIGGER}()`);
  return {
    waiting: async () => waitingFor(sql),
    release: () =>
      retryUntilDone(async () => {
        // If Postgres has died meanwhile nothing is held any more, and this is another connection.
        await sql`SELECT pg_advisory_unlock_all()`;
        await sql.unsafe(`DROP TRIGGER IF EXISTS ${TRIGGER} ON ${on}`);
        await sql.end();
      }),
  };
}

/** Again while Postgres is away. */
async function retryUntilDone(work: () => Promise<void>): Promise<void> {
  await until(
    'Postgres to answer',
    () =>
      work().then(
        () => true,
        (error: unknown) => {
          if (isConnectionLoss(error)) return false;
          throw error;
        },
      ),
    RELEASE_TIMEOUT_MS,
  );
}

async function waitingFor(sql: Sql): Promise<number> {
  const rows = await sql`
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${LOCK_KEY} AND NOT granted`;
  return rows.length;
}

/** A git whose arguments have these words waits before it begins. */
export async function holdGit(git: HeldGit, words: string): Promise<Held> {
  await git.hold(words);
  return { waiting: async () => (git.holds() ? 1 : 0), release: () => git.release() };
}

/** Takes the locks that the steps take which work in these worktrees. */
export async function holdLocks(home: string, worktreePaths: readonly string[]): Promise<Held> {
  const locksDir = path.join(home, 'locks');
  let letGo = (): void => {};
  const released = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const held: Promise<void>[] = [];
  for (const subject of worktreePaths) {
    await new Promise<void>((taken, failed) => {
      const done = withLock({ locksDir, subject }, () => {
        taken();
        return released;
      });
      done.catch(failed);
      held.push(done);
    });
  }
  return {
    // A step that waits for such a lock leaves no trace; Temporal shows that it has begun.
    waiting: async () => 0,
    release: async () => {
      letGo();
      await Promise.all(held);
    },
  };
}

export const NOTHING_HELD: Held = { waiting: async () => 0, release: async () => {} };
