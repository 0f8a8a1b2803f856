/**
 * Limits how many agents run at once on this host. A slot is an empty file in the home, one for each turn, so that all
 * workers of the home count the same files. The file's name contains the task, the attempt, and the process that holds
 * the slot.
 *
 * Must never happen: more turns hold a slot than there are slots, even while several workers ask at once; a slot
 * remains taken for ever after its worker has exited. A worker creates its file before it counts the files, so if two
 * workers request the last slot, at least one of them sees the file of the other. If the result is ambiguous, the
 * worker retries under a lock. The agents of a dead worker may still run, so its slot counts until they are ended. Only
 * a newer attempt at the same task takes over such a slot at once, because that attempt ends the agents itself. No two
 * slots ever have the same name, so the release of one slot cannot remove another.
 *
 * Not covered: workers in separate containers, which cannot see each other's processes. Such a worker treats a slot of
 * another container as the slot of a dead worker.
 *
 * The few file operations are synchronous. In the usual case, one worker, they take about 0.2 ms for a turn.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifySelf, type ProcessIdentity } from '../processes/identity.ts';
import { identityOfParts, listProcessFiles, identityNameParts } from '../processes/process-files.ts';
import type { TaskId } from '../contract/ids.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { endTaskProcesses } from './process/end.ts';
import { orAbort } from '../contract/promises.ts';

/**
 * The interval at which a worker that waits for a slot counts the slots again, because other workers do not notify it
 * when they release a slot.
 */
const RECHECK_MS = 250;
/** The name of the lock that the processes of a home hold while they count slots. */
export const AGENT_SLOTS = 'agent slots';
const NAME = /^(?<task>[0-9a-f-]{36})\.(?<attempt>\d+)\.(?<pid>\d+)\.(?<start>[^.]+)\.(?<boot>[^.]+)\.[0-9a-f]{8}$/;

interface SlotsOptions {
  /** Real path of the home. */
  readonly home: string;
  readonly folder: string;
  readonly count: number;
  /** Runs `work` under the lock. No other process of the host runs its own `work` at the same time. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  /** Called with the number of slots that this process holds, after each change of that number. */
  readonly onUse?: (held: number) => void;
}

/** The turn for which a slot is requested. */
export interface SlotRequest {
  readonly taskId: TaskId;
  readonly attempt: number;
}

export interface Slot {
  /** Releases the slot. Never fails. */
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

  /**
   * Returns `undefined` if no slot is free. Takes over the slot of an older attempt at the task, because that attempt
   * is outdated.
   */
  async tryTake(request: SlotRequest): Promise<Slot | undefined> {
    this.#closed.signal.throwIfAborted();
    const { folder, count, exclusively } = this.#options;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const name = this.#announce(request);
      const others = this.#others(name);
      const simple = others.every((other) => other.task !== request.taskId && other.isAlive);
      if (simple && others.length + this.#mine.size < count) return this.#keep(name);
      this.#remove(name);
      return await exclusively(() => this.#takeUnderLock(request));
    } catch (error) {
      throw explained(error, folder);
    }
  }

  /**
   * Returns whether a turn that begins now would get a slot. If no other worker holds a slot, the result is true
   * without a count, because Temporal gives a worker no more steps at once than there are slots.
   */
  hasFreeSlot(): boolean {
    this.#closed.signal.throwIfAborted();
    try {
      const others = this.#others().filter((other) => other.isAlive).length;
      return others === 0 || others + this.#mine.size < this.#options.count;
    } catch (error) {
      throw explained(error, this.#options.folder);
    }
  }

  /** Resolves when a slot may be free. All waiting turns of this process share one timer. */
  async untilChange(signal: AbortSignal): Promise<void> {
    this.#change ??= sleep(RECHECK_MS, undefined, { signal: this.#released.signal })
      .catch(() => undefined)
      .finally(() => {
        this.#change = undefined;
        this.#released = new AbortController();
      });
    await orAbort(this.#change, AbortSignal.any([signal, this.#closed.signal]));
  }

  /** Ends the processes that agents of dead workers left, and removes the slots of these workers. */
  async freeStale(): Promise<void> {
    for (const { name } of staleSlots(this.#options.folder)) await freeStaleSlot(this.#options, name);
  }

  /**
   * From this call on the worker gives no slots: waiting calls and later calls fail with `worker_lost`. Running turns
   * keep their slots.
   */
  close(): void {
    const message = 'this worker is exiting and begins no more turns; the next worker runs the task';
    this.#closed.abort(new LonghaulError('worker_lost', message));
  }

  /**
   * Called under the lock. Other workers create their files without the lock, so this worker creates its file before it
   * counts here, too.
   */
  async #takeUnderLock(request: SlotRequest): Promise<Slot | undefined> {
    const { count } = this.#options;
    const name = this.#announce(request);
    try {
      let used = this.#mine.size;
      for (const other of this.#others(name)) {
        if (other.task === request.taskId) {
          // The slot of a dead worker may have a higher attempt number: after a power cut Temporal may have lost that
          // attempt.
          if (other.isAlive && other.attempt > request.attempt)
            throw new LonghaulError('superseded', `attempt ${other.attempt} holds the slot`);
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

  #announce({ taskId, attempt }: SlotRequest): string {
    const name = [taskId, attempt, ...identityNameParts(this.#self), randomBytes(4).toString('hex')].join('.');
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
      // The file could not be removed, but the slot counts as released, because its name is no longer in `#mine`. The
      // next worker that counts the slots removes the file, or reports the folder's error.
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
  /** False for the slot of a dead process, and for a slot of this process that was released but whose file remains. */
  readonly isAlive: boolean;
}

/** Returns the slots in the folder. Files with names of another form are ignored. */
function slotsIn(folder: string): SlotFile[] {
  return listProcessFiles(folder, holderOf).flatMap(({ name, holder, isAlive }) => {
    const { task, attempt } = NAME.exec(name)?.groups ?? {};
    if (task === undefined) return [];
    return [{ name, task: task as TaskId, attempt: Number(attempt), isAlive: isAlive && holder.pid !== process.pid }];
  });
}

function holderOf(name: string): ProcessIdentity | undefined {
  const { pid, start, boot } = NAME.exec(name)?.groups ?? {};
  return identityOfParts(pid, start, boot);
}

/** Returns the slots of dead workers. The next worker that counts the slots removes them. */
export const staleSlots = (folder: string): SlotFile[] => slotsIn(folder).filter((slot) => !slot.isAlive);

/**
 * Ends the remaining processes of the slot's agent and removes the slot. Does nothing if another process has removed
 * the slot or taken it over.
 */
export async function freeStaleSlot(
  options: Pick<SlotsOptions, 'home' | 'folder' | 'exclusively'>,
  name: string,
): Promise<void> {
  await options.exclusively(async () => {
    const stale = staleSlots(options.folder).find((slot) => slot.name === name);
    if (stale) await endAndFree(options, stale);
  });
}

/**
 * Called under the lock. While the file exists no newer attempt has begun, so all processes with the task's marker are
 * those of the dead worker.
 */
async function endAndFree(
  { home, folder }: Pick<SlotsOptions, 'home' | 'folder'>,
  { name, task }: SlotFile,
): Promise<void> {
  await endTaskProcesses(task, { home });
  rmSync(path.join(folder, name), { force: true });
}

/**
 * Adds the folder's path to an error of the file system. An error of a full disk is returned unchanged, because it has
 * its own code.
 */
function explained(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || error instanceof LonghaulError) return error;
  if (!('code' in error) || isErrno(error, 'ENOSPC', 'EDQUOT')) return error;
  const message = `the worker counts the agents of this host in the folder ${folder}, and it must be able to read and write it: ${error.message}`;
  return new LonghaulError('internal_error', message, { cause: error });
}
