/**
 * Ending what programs left running: every process that carries a program's mark (an entry of its environment, which
 * children inherit), and whatever descends from one. Linux only.
 *
 * Never signalled: this process, and a pid whose start time is not the one that was seen.
 * Not covered: a process that was started with an empty environment, or overwrote its own, and whose parents have ended
 * before the first look (see `Family`): nothing shows then whose it was. (Its working folder does not: a person's shell
 * may have a worktree as its folder, too.)
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../contract/errors.ts';
import { parseEnvironment } from './environment.ts';
import { KILL_BOUND_MS, signalProcess, untilGone } from './end.ts';
import { identify, identifyRunning, isAlive, type ProcessIdentity, readProc } from './identity.ts';

const POLL_MS = 10;
/** Between SIGTERM and SIGKILL. */
export const TERM_BOUND_MS = 500;
/** A process that starts others faster than they are stopped is killed meanwhile. */
const STOP_BOUND_MS = 500;
/** Between two checks of the family of a program that is ending. */
export const FAMILY_ENDING_MS = 50;
/** Between two checks of the family of a running program. */
export const FAMILY_MS = 500;

/** Whether the environment (NUL-separated) has exactly this entry. */
function hasEntry(environ: Buffer, entry: Buffer): boolean {
  for (let at = environ.indexOf(entry); at !== -1; at = environ.indexOf(entry, at + 1)) {
    const end = at + entry.length;
    if ((at === 0 || environ[at - 1] === 0) && (end === environ.length || environ[end] === 0)) return true;
  }
  return false;
}

/** An entry of an environment, `NAME=value`. */
export type Mark =
  | string
  | {
      readonly entry: string;
      /** Called with each environment that has the entry. True: its process belongs to another home and is not signalled. */
      readonly spares: (environment: Readonly<Record<string, string>>) => boolean;
    };

/** The running processes that carry one of these marks, this process excepted. */
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
    const environ = readProc(`/proc/${name}/environ`); // of a zombie: empty
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

/** None on a kernel that keeps no such lists (CONFIG_PROC_CHILDREN). */
const childrenOf = (pid: number): number[] =>
  threadsOf(pid).flatMap((thread) => {
    const list = readProc(`/proc/${pid}/task/${thread}/children`)?.toString('latin1').trim();
    return list ? list.split(' ').map(Number) : [];
  });

/**
 * All current descendants of these processes, without the processes themselves. Call it before any of them is ended:
 * the kernel gives a dead process's children to another parent.
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
 * The descendants of a process, remembered as long as they are alive: a process that was started with an empty
 * environment and then lost its parents is known because it was seen with them.
 */
export class Family {
  readonly #root: ProcessIdentity;
  #known: ProcessIdentity[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(root: ProcessIdentity) {
    this.#root = root;
  }

  /** Looks now and from now on, this often, until `stop`. */
  follow(everyMs: number): void {
    clearInterval(this.#timer);
    this.look();
    this.#timer = setInterval(() => this.look(), everyMs).unref();
  }

  /** Never fails: without a free descriptor nothing can be seen, and the next look may. */
  look(): void {
    try {
      const alive = this.#known.filter((one) => isAlive(one));
      const fresh = descendantsOf([this.#root, ...alive]);
      this.#known = [...alive, ...fresh];
      if (this.#known.length === 0 && !isAlive(this.#root)) clearInterval(this.#timer); // no descendant can appear any more
    } catch {
      return;
    }
  }

  /** Stops the checks and returns the processes that are alive, without the root. */
  stop(): ProcessIdentity[] {
    clearInterval(this.#timer);
    this.look();
    return this.#known;
  }
}

/** The descendants of a process while `end` ends it, including those that are started meanwhile. */
export async function familyDuring(root: ProcessIdentity, end: () => Promise<unknown>): Promise<ProcessIdentity[]> {
  const family = new Family(root);
  family.follow(FAMILY_ENDING_MS);
  try {
    await end();
  } finally {
    family.stop();
  }
  return family.stop();
}

/**
 * Ends everything that carries one of the marks, `known`, and what descends from either: SIGTERM, half a second, SIGKILL;
 * the latter again until none is left. They are suspended first: one that forks between look and kill would leave an
 * unknown child. Returns how many could not be ended within the bound (5 s).
 */
export async function sweep(marks: readonly Mark[], known: readonly ProcessIdentity[] = []): Promise<number> {
  const asked = await askToEnd(marks, known);
  if (asked.length === 0) return 0;
  const deadline = performance.now() + KILL_BOUND_MS;
  for (let before: readonly ProcessIdentity[] = asked; ;) {
    const found: ProcessIdentity[] = [];
    try {
      stopAll(marks, before, found);
    } finally {
      // Also after an error: a suspended process must not remain so.
      for (const { pid } of found) signalProcess(pid, 'SIGKILL');
    }
    if (found.length === 0 || performance.now() > deadline) return found.length;
    before = found;
    await sleep(POLL_MS);
  }
}

/**
 * A git that is killed outright leaves its lock, in the user's repository, too: so each process may clean up first.
 * Returns the processes that it has seen.
 */
async function askToEnd(marks: readonly Mark[], known: readonly ProcessIdentity[]): Promise<ProcessIdentity[]> {
  const seen = withDescendants([...findByMark(marks), ...known.filter((one) => isAlive(one))]);
  for (const { pid } of seen) signalProcess(pid, 'SIGTERM');
  // A process that is started meanwhile may lose its parent at any moment.
  await untilGone(seen, { withinMs: TERM_BOUND_MS, meanwhile: () => seen.push(...descendantsOf(seen)) });
  return seen;
}

/** Each once: a root may be a child of another. */
function withDescendants(roots: readonly ProcessIdentity[]): ProcessIdentity[] {
  const all = new Map([...roots, ...descendantsOf(roots)].map((identity) => [identity.pid, identity]));
  return [...all.values()];
}

/** Adds to `found`. Looks until no new process appears, because a suspended process starts no other. */
function stopAll(marks: readonly Mark[], known: readonly ProcessIdentity[], found: ProcessIdentity[]): void {
  const deadline = performance.now() + STOP_BOUND_MS;
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
