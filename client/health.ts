/** Checks whether the services that a client needs are available. Each check has a timeout. */
import { setTimeout as delay } from 'node:timers/promises';
import { unappliedMigrations } from '../store/migrate.ts';
import { isConnectionLoss, ping, type Sql } from '../store/sql.ts';
import type { Longhaul } from './connection.ts';
import { probeTemporal } from './temporal.ts';
import { messageOf } from '../contract/errors.ts';

const WITHIN_MS = 3_000;
/** Pause between two probes of a server that is starting or overloaded. */
const ASK_AGAIN_MS = 200;
/** The maximum time that `waitWhileBusy` waits for a server on a busy machine. */
const BUSY_MS = 30_000;

export type PartHealth = { readonly ok: true } | { readonly ok: false; readonly detail: string };

export interface Health {
  readonly postgres: PartHealth;
  readonly migrations: PartHealth;
  readonly temporal: PartHealth;
}

export async function checkHealth({ sql, temporal }: Pick<Longhaul, 'sql' | 'temporal'>): Promise<Health> {
  const [database, server] = await Promise.all([checkDatabase(sql), healthOf(probeTemporal(temporal, WITHIN_MS))]);
  return { ...database, temporal: server };
}

/**
 * Checks the database only. A caller that does not need Temporal saves the time that loading Temporal's client takes.
 */
export async function checkDatabase(sql: Sql): Promise<Omit<Health, 'temporal'>> {
  const [postgres, migrations] = await Promise.all([
    healthOf(ping(sql)),
    healthOf(unappliedMigrations(sql).then(refuseUnapplied)),
  ]);
  return { postgres, migrations };
}

function refuseUnapplied(names: readonly string[]): void {
  if (names.length > 0) throw new Error(`not applied yet: ${names.join(', ')}`);
}

export interface BusyOptions {
  /** Returns the pid of the database server, or `undefined` if the server does not run or runs on another machine. */
  readonly findServer: () => Promise<number | undefined>;
  /** Called once, when the server has not responded to the first probe. */
  readonly onBusy: (pid: number) => void;
  readonly timeoutMs?: number;
}

/**
 * Waits for a database server whose process runs but does not respond yet, because it is overloaded, suspended or
 * starting. Returns the server's pid if the server has not responded within the timeout. Returns `undefined` if the
 * server responds, refuses, or does not run; `checkDatabase` then shows which of these is the case.
 */
export async function waitWhileBusy(
  sql: Sql,
  { findServer, onBusy, timeoutMs = BUSY_MS }: BusyOptions,
): Promise<number | undefined> {
  const deadline = Date.now() + timeoutMs;
  for (let asked = 1; ; asked++) {
    if (!(await isLate(unappliedMigrations(sql)))) return undefined;
    const pid = await findServer();
    if (pid === undefined || Date.now() >= deadline) return pid;
    if (asked === 1) onBusy(pid);
    await delay(ASK_AGAIN_MS);
  }
}

/** Returns whether the probe timed out or lost its connection, so that a later probe may succeed. */
async function isLate(question: PromiseLike<unknown>): Promise<boolean> {
  try {
    await inTime(question);
    return false;
  } catch (error) {
    return error instanceof NoAnswer || isConnectionLoss(error);
  }
}

class NoAnswer extends Error {}

async function healthOf(work: PromiseLike<unknown>): Promise<PartHealth> {
  try {
    await inTime(work);
    return { ok: true };
  } catch (error) {
    return { ok: false, detail: messageOf(error) };
  }
}

async function inTime(work: PromiseLike<unknown>): Promise<void> {
  const timer = new AbortController();
  const late = delay(WITHIN_MS + 500, undefined, { signal: timer.signal }).then(() => {
    throw new NoAnswer(`no answer within ${WITHIN_MS / 1000} s`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}
