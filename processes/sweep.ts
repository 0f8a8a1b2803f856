/**
 * Ends the processes that programs left running: every process that carries a program's mark (an entry of its
 * environment, which children inherit), and all descendants of such processes. Linux only.
 *
 * Never signalled: this process, and a pid whose start time differs from the start time that was recorded. Not covered:
 * a process that was started with an empty environment, or overwrote its own environment, and whose parents exited
 * before the first check (see `DescendantTracker`). Nothing then shows which program started the process. The working
 * folder of the process does not show it, because a user's shell may have a worktree as its working folder, too.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../contract/errors.ts';
import { parseEnvironment } from './environment.ts';
import { KILL_TIMEOUT_MS, signalProcess, waitForExits } from './end.ts';
import { identify, identifyRunning, isAlive, type ProcessIdentity, readProc } from './identity.ts';

const POLL_MS = 10;
/** Time between SIGTERM and SIGKILL. */
export const SWEEP_GRACE_MS = 500;
/**
 * After this time the found processes are killed even if new ones still appear, because a process may start others
 * faster than they are suspended.
 */
const SUSPEND_TIMEOUT_MS = 500;
/** Interval between two checks of the descendants of a program that is ending. */
export const DESCENDANTS_END_CHECK_MS = 50;
/** Interval between two checks of the descendants of a running program. */
export const DESCENDANTS_CHECK_MS = 500;

/** Returns whether the NUL-separated environment has exactly this entry. */
function hasEntry(environ: Buffer, entry: Buffer): boolean {
  for (let at = environ.indexOf(entry); at !== -1; at = environ.indexOf(entry, at + 1)) {
    const end = at + entry.length;
    if ((at === 0 || environ[at - 1] === 0) && (end === environ.length || environ[end] === 0)) return true;
  }
  return false;
}

/** An entry of an environment, `NAME=value`, that marks the processes of a program. */
export type Mark =
  | string
  | {
      readonly entry: string;
      /**
       * `spares` is called with each environment that contains the entry. If it returns true, the process belongs to
       * another home and is not signalled.
       */
      readonly spares: (environment: Readonly<Record<string, string>>) => boolean;
    };

/** Returns the running processes that carry one of these marks, except this process. */
export function findByMark(marks: readonly Mark[]): ProcessIdentity[] {
  if (marks.length === 0) return [];
  const known = marks.map((mark) => {
    const { entry, spares } = typeof mark === 'string' ? { entry: mark, spares: undefined } : mark;
    return { entry: Buffer.from(entry), spares };
  });
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environ = readProc(`/proc/${name}/environ`); // a zombie has an empty environment
    if (environ === undefined) continue;
    const isMarked = known.some(
      ({ entry, spares }) => hasEntry(environ, entry) && spares?.(parseEnvironment(environ)) !== true,
    );
    if (!isMarked) continue;
    const identity = identify(pid);
    if (identity !== undefined) found.push(identity);
  }
  return found;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return [];
    throw error;
  }
}

/** Returns the children of a process. The list is empty on a kernel without CONFIG_PROC_CHILDREN. */
const childrenOf = (pid: number): number[] =>
  threadsOf(pid).flatMap((thread) => {
    const list = readProc(`/proc/${pid}/task/${thread}/children`)?.toString('latin1').trim();
    return list ? list.split(' ').map(Number) : [];
  });

/**
 * Returns all current descendants of these processes, without the processes themselves. Call it before any of them is
 * ended, because the kernel gives the children of a dead process to another parent.
 */
export function descendantsOf(roots: readonly ProcessIdentity[]): ProcessIdentity[] {
  const seen = new Set([process.pid, ...roots.map(({ pid }) => pid)]);
  const family = roots.filter((root) => isAlive(root));
  const rootsAlive = family.length;
  for (const { pid: parent } of family) {
    for (const pid of childrenOf(parent).filter((child) => !seen.has(child))) {
      seen.add(pid);
      const identity = identifyRunning(pid);
      if (identity !== undefined) family.push(identity);
    }
  }
  return family.slice(rootsAlive);
}

/**
 * Records the descendants of a process for as long as they are alive. So a process that was started with an empty
 * environment is still known after its parents have exited.
 */
export class DescendantTracker {
  readonly #root: ProcessIdentity;
  #known: ProcessIdentity[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(root: ProcessIdentity) {
    this.#root = root;
  }

  /** Checks the descendants at once, and then every `everyMs` milliseconds until `stop` is called. */
  follow(everyMs: number): void {
    clearInterval(this.#timer);
    this.look();
    this.#timer = setInterval(() => this.look(), everyMs).unref();
  }

  /**
   * Records the current descendants. Never fails: without a free file descriptor this check records nothing, and the
   * next check may succeed.
   */
  look(): void {
    try {
      const alive = this.#known.filter((one) => isAlive(one));
      const fresh = descendantsOf([this.#root, ...alive]);
      this.#known = [...alive, ...fresh];
      // No descendant can appear any more.
      if (this.#known.length === 0 && !isAlive(this.#root)) clearInterval(this.#timer);
    } catch {
      return;
    }
  }

  /** Checks once more, ends the periodic checks, and returns the descendants that are alive. */
  stop(): ProcessIdentity[] {
    clearInterval(this.#timer);
    this.look();
    return this.#known;
  }
}

/**
 * Returns the descendants of `root` that are alive after `end` has ended `root`, including those that started
 * meanwhile.
 */
export async function endAndFindDescendants(
  root: ProcessIdentity,
  end: () => Promise<unknown>,
): Promise<ProcessIdentity[]> {
  const family = new DescendantTracker(root);
  family.follow(DESCENDANTS_END_CHECK_MS);
  try {
    await end();
  } finally {
    family.stop();
  }
  return family.stop();
}

/**
 * Ends all processes that carry one of the marks, the processes `known`, and the descendants of both: SIGTERM, half a
 * second, then SIGKILL, which is repeated until none of these processes is alive. Before SIGKILL the processes are
 * suspended, because a process that forks between the search and the kill would leave an unknown child. Returns how
 * many processes could not be ended within 5 s.
 */
export async function sweep(marks: readonly Mark[], known: readonly ProcessIdentity[] = []): Promise<number> {
  const asked = await askToEnd(marks, known);
  if (asked.length === 0) return 0;
  const deadline = performance.now() + KILL_TIMEOUT_MS;
  for (let before: readonly ProcessIdentity[] = asked; ;) {
    const found: ProcessIdentity[] = [];
    try {
      stopAll(marks, before, found);
    } finally {
      // Runs after an error too, because no process may stay suspended.
      for (const { pid } of found) signalProcess(pid, 'SIGKILL');
    }
    if (found.length === 0 || performance.now() > deadline) return found.length;
    before = found;
    await sleep(POLL_MS);
  }
}

/**
 * Sends SIGTERM first, so that each process can clean up: a git that is killed by SIGKILL leaves its lock file, also in
 * the user's repository. Returns these processes and the descendants that appeared during the wait.
 */
async function askToEnd(marks: readonly Mark[], known: readonly ProcessIdentity[]): Promise<ProcessIdentity[]> {
  const seen = withDescendants([...findByMark(marks), ...known.filter((one) => isAlive(one))]);
  for (const { pid } of seen) signalProcess(pid, 'SIGTERM');
  // Looks for descendants during the wait, because a process that starts now may lose its parent at any moment.
  await waitForExits(seen, { withinMs: SWEEP_GRACE_MS, meanwhile: () => seen.push(...descendantsOf(seen)) });
  return seen;
}

/** Returns the processes and their descendants without duplicates, because a root may be a child of another root. */
function withDescendants(roots: readonly ProcessIdentity[]): ProcessIdentity[] {
  const all = new Map([...roots, ...descendantsOf(roots)].map((identity) => [identity.pid, identity]));
  return [...all.values()];
}

/**
 * Suspends the processes and adds them to `found`. Repeats until no new process appears. A suspended process starts no
 * other process, so the search comes to an end.
 */
function stopAll(marks: readonly Mark[], known: readonly ProcessIdentity[], found: ProcessIdentity[]): void {
  const deadline = performance.now() + SUSPEND_TIMEOUT_MS;
  const seen = new Set<number>();
  for (let fresh = -1; fresh !== 0 && performance.now() < deadline;) {
    const roots = [...findByMark(marks), ...known.filter((one) => isAlive(one))];
    const news = withDescendants(roots).filter(({ pid }) => !seen.has(pid));
    for (const identity of news) {
      seen.add(identity.pid);
      found.push(identity);
      signalProcess(identity.pid, 'SIGSTOP');
    }
    fresh = news.length;
  }
}
