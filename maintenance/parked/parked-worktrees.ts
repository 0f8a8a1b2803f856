/**
 * Removes parked worktrees of a home that exceed the limits, and those whose session was closed or removed. It runs in
 * the worker beside the steps: after a worktree was parked, and every ten minutes.
 *
 * Must never happen: the worktree of a running task is removed (the record of such a worktree is not `parked`, which is
 * checked under the worktree's lock); edits in a worktree that no commit has are lost (they are stored first, and if
 * that fails, the worktree stays).
 */
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../../processes/runner.ts';
import { openSessions } from '../../store/sessions.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId } from '../../contract/ids.ts';
import { type Deferred, deferred } from '../../contract/promises.ts';
import { listRecords } from '../../worktrees/records.ts';
import type { Worktrees } from '../../worktrees/worktrees.ts';
import { beyondLimits, type ParkedLimits, type ParkedWorktree } from './limits.ts';

const INTERVAL_MS = 10 * 60_000;
const MEASURE_MS = 60_000;
const SESSION = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/**
 * Returns the id of the session whose worktree is at the path. Returns undefined if the folder's name contains no id of
 * a session.
 */
export const sessionOf = (worktreePath: string): SessionId | undefined =>
  SESSION.exec(path.basename(worktreePath))?.[0] as SessionId | undefined;

export interface ParkedPlace {
  readonly locksDir: string;
  /** The PATH on which the program `du` is searched. */
  readonly pathVariable: string | undefined;
}

/**
 * Lists the parked worktrees of a home, with their sizes. The size of a worktree that is in `measured`, parked at the
 * same time, is not measured again, because no program writes into a parked worktree.
 */
export async function listParked(
  { locksDir, pathVariable }: ParkedPlace,
  measured: readonly ParkedWorktree[] = [],
): Promise<ParkedWorktree[]> {
  const parked: ParkedWorktree[] = [];
  for (const { worktreePath, parked: state } of await listRecords(locksDir)) {
    if (state === undefined) continue;
    const { since } = state;
    const same = measured.find((one) => one.worktreePath === worktreePath && one.since === since);
    parked.push({ worktreePath, since, bytes: same?.bytes ?? (await sizeOf(worktreePath, pathVariable)) });
  }
  return parked;
}

/**
 * Returns the size on disk in bytes, or 0 if it cannot be measured. `du` measures all files of the folder in one
 * process.
 */
async function sizeOf(folder: string, pathVariable: string | undefined): Promise<number> {
  const run = {
    file: 'du',
    args: ['-sk', folder],
    cwd: '/',
    env: { PATH: pathVariable },
    timeoutMs: MEASURE_MS,
  };
  const end = await runProgram(run);
  const kilobytes = end.kind === 'ended' ? Number.parseInt(end.stdout.toString('utf8'), 10) : 0;
  return Number.isNaN(kilobytes) ? 0 : kilobytes * 1024;
}

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface KeepParked extends ParkedPlace {
  /** The folder of the home's worktrees. */
  readonly root: string;
  readonly worktrees: Worktrees;
  readonly sql: Sql;
  readonly limits: ParkedLimits;
  /** Runs the work while no other worker of this home does this work. */
  readonly exclusively: (work: () => Promise<void>) => Promise<void>;
  readonly log: Log;
}

export class ParkedWorktrees {
  readonly #options: KeepParked;
  #parked: Deferred<void> = deferred();
  /** The parked worktrees that the last round found, with their sizes. */
  #measured: readonly ParkedWorktree[] = [];

  constructor(options: KeepParked) {
    this.#options = options;
  }

  get areKept(): boolean {
    return this.#options.limits.count > 0;
  }

  /** Ends the wait for the next round. Called when a worktree was parked, because the limits may now be exceeded. */
  notify(): void {
    this.#parked.resolve();
  }

  /** Runs rounds until the signal is aborted. If a round fails, the error is logged and the next round tries again. */
  async run(signal: AbortSignal): Promise<void> {
    const { exclusively, log } = this.#options;
    while (!signal.aborted) {
      this.#parked = deferred();
      await exclusively(() => this.#trim(signal)).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, 'parked worktrees could not be checked');
      });
      await this.#untilParked(signal);
    }
  }

  /** Resolves when a worktree is parked, after ten minutes, or when the signal is aborted. */
  async #untilParked(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const timer = sleep(INTERVAL_MS, undefined, { signal: AbortSignal.any([signal, over.signal]) });
    await Promise.race([this.#parked.promise, timer.catch(() => undefined)]);
    over.abort();
  }

  async #trim(signal: AbortSignal): Promise<void> {
    const { root, sql, limits } = this.#options;
    const parked = await listParked(this.#options, this.#measured);
    this.#measured = parked;
    if (parked.length === 0) return;
    const open = await openSessions(
      sql,
      parked.flatMap(({ worktreePath }) => sessionOf(worktreePath) ?? []),
    );
    const isOpen = ({ worktreePath }: ParkedWorktree): boolean => {
      const session = sessionOf(worktreePath);
      return session === undefined || open.has(session);
    };
    for (const one of parked.filter((each) => !isOpen(each))) await this.#remove(one, 'session', signal);
    const { bavail, blocks, bsize } = await statfs(root);
    const disk = { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    const ends = beyondLimits(parked.filter(isOpen), limits, { timeMs: Date.now(), disk });
    for (const end of ends) await this.#remove(end, end.why, signal);
  }

  async #remove({ worktreePath, bytes }: ParkedWorktree, why: string, signal: AbortSignal): Promise<void> {
    const { worktrees, log } = this.#options;
    const line = { worktree: worktreePath, bytes, why };
    try {
      const removed = await worktrees.removeParked({ worktreePath, signal });
      if (removed === 'removed') log.info(line, 'a parked worktree was removed');
      else if (removed !== 'in_use') log.warn(line, removed.kept);
    } catch (error) {
      if (!signal.aborted) log.warn({ ...line, err: error }, 'a parked worktree could not be removed');
    }
  }
}
