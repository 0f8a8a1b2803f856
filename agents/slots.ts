/**
 * How many agents work at once on this host: a slot is an empty file in the home, one for each turn, so that all workers of
 * the home are counted together. Its name says everything: task, attempt, and which process holds it.
 *
 * Never: more turns with a slot than there are slots, also while several workers ask; a slot that outlives its worker for
 * good. Each announces itself by its file before it counts, so of two that ask for the last one at least one sees the
 * other. Who is not sure of his by that goes on under a lock. A dead worker's agents may live on: its slot counts until they
 * are ended, and only a newer attempt at the same task, which ends them itself, takes it as it is. No two slots ever have
 * the same name: giving one back cannot hit another. Not covered: workers in containers of their own, which cannot see each
 * other's processes: a slot from elsewhere is taken for a dead worker's.
 *
 * The few calls are synchronous: in the usual case, one worker, they take some 0.2 ms for a turn.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifySelf, type ProcessIdentity } from '../processes/identity.ts';
import { identityOfParts, liveFiles, nameParts } from '../processes/live-files.ts';
import type { TaskId } from '../contract/ids.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { endTask } from './process/end.ts';
import { orAbort } from '../contract/promises.ts';

/** Other workers do not tell when they give one back. */
const RECHECK_MS = 250;
/** What the processes of a home that count them lock. */
export const AGENT_SLOTS = 'agent slots';
const NAME = /^(?<task>[0-9a-f-]{36})\.(?<attempt>\d+)\.(?<pid>\d+)\.(?<start>[^.]+)\.(?<boot>[^.]+)\.[0-9a-f]{8}$/;

interface SlotsOptions {
  /** Real path of the home. */
  readonly home: string;
  readonly folder: string;
  readonly count: number;
  /** Runs `work` while no other process of the host does. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  /** Told how many this process holds. */
  readonly onUse?: (held: number) => void;
}

export interface Claim {
  readonly taskId: TaskId;
  readonly attempt: number;
}

export interface Slot {
  /** Never fails. */
  readonly release: () => void;
}

export class AgentSlots {
  readonly #options: SlotsOptions;
  readonly #self: ProcessIdentity = identifySelf();
  readonly #mine = new Set<string>();
  readonly #closed = new AbortController();
  #change: Promise<void> | undefined;
  #released = new AbortController();

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  /** Undefined: none is free. What an older attempt at the task has is taken over: it is outdated. */
  async tryTake(claim: Claim): Promise<Slot | undefined> {
    this.#closed.signal.throwIfAborted();
    const { folder, count, exclusively } = this.#options;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const name = this.#announce(claim);
      const others = this.#others(name);
      const simple = others.every((other) => other.task !== claim.taskId && other.isAlive);
      if (simple && others.length + this.#mine.size < count) return this.#keep(name);
      this.#remove(name);
      return await exclusively(() => this.#takeUnderLock(claim));
    } catch (error) {
      throw explained(error, folder);
    }
  }

  /**
   * Whether a turn that begins now would get one. A worker alone need not ask: Temporal gives it no more steps at once
   * than there are slots.
   */
  isOneFree(): boolean {
    this.#closed.signal.throwIfAborted();
    try {
      const others = this.#others().filter((other) => other.isAlive).length;
      return others === 0 || others + this.#mine.size < this.#options.count;
    } catch (error) {
      throw explained(error, this.#options.folder);
    }
  }

  /** Resolves when it may be worth to look again, for all who wait at once. */
  async untilChange(signal: AbortSignal): Promise<void> {
    this.#change ??= sleep(RECHECK_MS, undefined, { signal: this.#released.signal })
      .catch(() => undefined)
      .finally(() => {
        this.#change = undefined;
        this.#released = new AbortController();
      });
    await orAbort(this.#change, AbortSignal.any([signal, this.#closed.signal]));
  }

  /** Ends what agents of dead workers left, and frees what they had. */
  async freeStale(): Promise<void> {
    for (const { name } of staleSlots(this.#options.folder)) await freeStaleSlot(this.#options, name);
  }

  /** From now on nobody here gets one: who waits and who comes fails with `worker_lost`. Turns keep theirs. */
  close(): void {
    const message = 'the worker begins no more turns; the task goes to the next one';
    this.#closed.abort(new LonghaulError('worker_lost', message));
  }

  /** Under the lock: others announce themselves all the same, so this one does, too. */
  async #takeUnderLock(claim: Claim): Promise<Slot | undefined> {
    const { count } = this.#options;
    const name = this.#announce(claim);
    try {
      let used = this.#mine.size;
      for (const other of this.#others(name)) {
        if (other.task === claim.taskId) {
          // Of a dead worker it may be a later one that Temporal has forgotten, after a power cut.
          if (other.isAlive && other.attempt > claim.attempt)
            throw new LonghaulError('superseded', `attempt ${other.attempt} has the slot`);
          this.#remove(other.name);
        } else if (other.isAlive) used += 1;
        else await endAndFree(this.#options, other);
      }
      if (used < count) return this.#keep(name);
    } catch (error) {
      this.#remove(name);
      throw error;
    }
    this.#remove(name);
    return undefined;
  }

  #announce({ taskId, attempt }: Claim): string {
    const name = [taskId, attempt, ...nameParts(this.#self), randomBytes(4).toString('hex')].join('.');
    closeSync(openSync(path.join(this.#options.folder, name), 'wx', 0o600));
    return name;
  }

  #others(announced?: string): SlotFile[] {
    return slotsIn(this.#options.folder).filter(({ name }) => name !== announced && !this.#mine.has(name));
  }

  #keep(name: string): Slot {
    this.#mine.add(name);
    this.#options.onUse?.(this.#mine.size);
    return { release: () => this.#release(name) };
  }

  #release(name: string): void {
    if (!this.#mine.delete(name)) return;
    try {
      this.#remove(name);
    } catch {
      // By `slotsIn` it is not alive any more: whoever counts next removes it, or names what is wrong with the folder.
    }
    this.#options.onUse?.(this.#mine.size);
    this.#released.abort();
  }

  #remove(name: string): void {
    rmSync(path.join(this.#options.folder, name), { force: true });
  }
}

interface SlotFile {
  readonly name: string;
  readonly task: TaskId;
  readonly attempt: number;
  /** One of this very process that the caller does not know has been given back. */
  readonly isAlive: boolean;
}

/** Files with other names are ignored. */
function slotsIn(folder: string): SlotFile[] {
  return liveFiles(folder, holderOf).flatMap(({ name, holder, isAlive }) => {
    const { task, attempt } = NAME.exec(name)?.groups ?? {};
    if (task === undefined) return [];
    return [{ name, task: task as TaskId, attempt: Number(attempt), isAlive: isAlive && holder.pid !== process.pid }];
  });
}

function holderOf(name: string): ProcessIdentity | undefined {
  const { pid, start, boot } = NAME.exec(name)?.groups ?? {};
  return identityOfParts(pid, start, boot);
}

/** Slots of dead workers. The next worker that counts takes them away just so. */
export const staleSlots = (folder: string): SlotFile[] => slotsIn(folder).filter((slot) => !slot.isAlive);

/** Ends what is left of its agent and frees it. Somebody else may have done so, or taken it over: fine. */
export async function freeStaleSlot(
  options: Pick<SlotsOptions, 'home' | 'folder' | 'exclusively'>,
  name: string,
): Promise<void> {
  await options.exclusively(async () => {
    const stale = staleSlots(options.folder).find((slot) => slot.name === name);
    if (stale) await endAndFree(options, stale);
  });
}

/** Under the lock: while its file is there no newer attempt has begun, so all that carries the marker is the dead worker's. */
async function endAndFree(
  { home, folder }: Pick<SlotsOptions, 'home' | 'folder'>,
  { name, task }: SlotFile,
): Promise<void> {
  await endTask(task, { home });
  rmSync(path.join(folder, name), { force: true });
}

/** A full disk has its own code; it is no fault of the folder. */
function explained(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || error instanceof LonghaulError) return error;
  if (!('code' in error) || isErrno(error, 'ENOSPC', 'EDQUOT')) return error;
  const message = `agents are counted in ${folder}, which the worker must be able to read and write: ${error.message}`;
  return new LonghaulError('internal_error', message, { cause: error });
}
