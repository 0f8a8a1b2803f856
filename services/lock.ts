/**
 * A lock held by a process: a folder in which every contender announces itself in a file of its own and
 * then looks for others. A dead holder's file counts for nothing and is removed by whoever sees it.
 *
 * Never: two holders. Each announces before it looks, so of two at once at least one sees the other, and
 * who sees another steps back. Because a file belongs to one process for ever (pid + start time + boot),
 * removing a dead one cannot hit a newer holder. Not covered: a folder shared between machines.
 */
import { randomInt } from 'node:crypto';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ProcessIdentity } from '../agents/driver.ts';
import { writeJson } from './json-file.ts';
import { identify, isAlive } from './process-identity.ts';

export const processIdentity = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() });

export type LockResult =
  { readonly kind: 'held'; release(): Promise<void> } | { readonly kind: 'busy'; readonly holder: ProcessIdentity };

/** Takes the lock for this process or says who has it. */
export async function takeLock(folder: string): Promise<LockResult> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const self = await identify(process.pid);
  if (!self) throw new TypeError('this process is not in the process table');
  const mine = `${self.pid}-${self.startTime.replaceAll(/\W/g, '_')}`;
  for (;;) {
    const before = await liveOthers(folder, mine);
    if (before) return { kind: 'busy', holder: before };
    await writeJson(join(folder, mine), self);
    if (!(await liveOthers(folder, mine))) return { kind: 'held', release: () => rm(join(folder, mine)) };
    await rm(join(folder, mine));
    await sleep(randomInt(5, 50));
  }
}

/** Who holds the lock now. */
export async function lockHolder(folder: string): Promise<ProcessIdentity | undefined> {
  return liveOthers(folder, '');
}

async function liveOthers(folder: string, mine: string): Promise<ProcessIdentity | undefined> {
  for (const name of await readdirOrNone(folder)) {
    if (name === mine || name.startsWith('.')) continue;
    const text = await readOrNone(join(folder, name));
    if (text === undefined) continue;
    const holder = processIdentity.parse(JSON.parse(text));
    if (await isAlive(holder)) return holder;
    await rm(join(folder, name), { force: true });
  }
  return undefined;
}

async function readdirOrNone(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

async function readOrNone(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
