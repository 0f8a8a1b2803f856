/**
 * A lock held by a process: a folder in which every contender announces itself in a file of its own and
 * then looks for others. A dead holder's file counts for nothing and is removed by whoever sees it.
 *
 * Never: two holders. Each announces before it looks, so of two at once at least one sees the other, and
 * who sees another steps back. Because a file belongs to one contender for ever,
 * removing a dead one cannot hit a newer holder. Not covered: a folder shared between machines.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { identifySelf, isAlive, type ProcessIdentity } from '../processes/identity.ts';
import { isErrno } from '../workflows/errors.ts';
import { exists } from './exists.ts';
import { parseOrNothing, writeJson } from './json-file.ts';

export const processIdentity = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() });

export interface HeldLock {
  readonly kind: 'held';
  /**
   * Resolves once the lock's folder is removed (undefined), or is somebody else's lock by now. Or at the signal. A file
   * of ours that is gone alone, by a cleaner of old files or one who could not see that we live, is written again.
   */
  untilLost(signal: AbortSignal): Promise<ProcessIdentity | undefined>;
  release(): Promise<void>;
}

export interface BusyLock {
  readonly kind: 'busy';
  readonly holder: ProcessIdentity;
}

export type LockResult = HeldLock | BusyLock;

/** Others are given this long to find out which of them holds the lock. */
const CONTEST_MS = 2_000;
const LOST_LOOK_MS = 1_000;

const announced = z.object({ process: processIdentity, holds: z.boolean() });
type Announced = z.infer<typeof announced>;

/** Takes the lock for this process or says who has it. Rejects if it cannot be written: nobody holds it then. */
export async function takeLock(folder: string): Promise<LockResult> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const self = identifySelf();
  const mine = join(folder, `${self.pid}-${randomBytes(6).toString('hex')}`);
  const deadline = Date.now() + CONTEST_MS;
  for (;;) {
    const before = await liveOther(folder, mine);
    if (before && (before.holds || Date.now() > deadline)) return { kind: 'busy', holder: before.process };
    if (!before) {
      await writeJson(mine, { process: self, holds: false } satisfies Announced);
      if (!(await liveOther(folder, mine))) break;
      await rm(mine);
    }
    await sleep(randomInt(5, 50));
  }
  try {
    await writeJson(mine, { process: self, holds: true } satisfies Announced);
  } catch (error) {
    // Else others would wait for us as long as we live.
    await rm(mine, { force: true });
    throw error;
  }
  return {
    kind: 'held',
    untilLost: (signal) => untilLost(folder, mine, signal),
    release: () => rm(mine, { force: true }),
  };
}

async function untilLost(folder: string, mine: string, signal: AbortSignal): Promise<ProcessIdentity | undefined> {
  while (!signal.aborted) {
    try {
      if (!(await exists(mine))) {
        if (!(await exists(folder))) return undefined;
        const other = await liveOther(folder, mine);
        if (other) return other.process;
        await writeJson(mine, { process: identifySelf(), holds: true } satisfies Announced);
      }
    } catch {
      // A full disk, a disk that does not answer: not lost, as far as anybody can say.
    }
    await sleep(LOST_LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

/** Who holds the lock now, or is about to. */
export async function lockHolder(folder: string): Promise<ProcessIdentity | undefined> {
  return (await liveOther(folder, ''))?.process;
}

/** The holder if there is one, else any contender. */
async function liveOther(folder: string, mine: string): Promise<Announced | undefined> {
  let contender: Announced | undefined;
  for (const name of await readdirOrNone(folder)) {
    const path = join(folder, name);
    if (path === mine || name.startsWith('.')) continue;
    const text = await readOrNone(path);
    if (text === undefined) continue;
    // An announcement appears whole: one that says nothing is from before the machine lost power.
    const said = parseOrNothing(text);
    const other = said === undefined ? undefined : announced.parse(said);
    if (!other || !isAlive(other.process)) await rm(path, { force: true });
    else if (other.holds) return other;
    else contender = other;
  }
  return contender;
}

async function readdirOrNone(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
}

async function readOrNone(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
}
