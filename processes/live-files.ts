/**
 * Files that count while the process that made them is alive: locks, agent slots, drains. A file names its process in its
 * name or in its text, as an identity and never as a bare pid, so a file from before a reboot counts for nothing.
 *
 * Not covered: processes in another container, which cannot be seen: their files count as those of dead processes.
 */
import { readdirSync } from 'node:fs';
import { z } from 'zod';
import { isErrno } from '../contract/errors.ts';
import { isAlive, type ProcessIdentity } from './identity.ts';

/** An identity in the text of a file. */
export const processIdentity = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() });

/** An identity as three parts of a file's name. */
export const nameParts = ({ pid, startTime, bootId }: ProcessIdentity): readonly [string, string, string] => [
  String(pid),
  encodeURIComponent(startTime),
  bootId,
];

/** `undefined`: these are not the parts of an identity. */
export function identityOfParts(
  pid: string | undefined,
  startTime: string | undefined,
  bootId: string | undefined,
): ProcessIdentity | undefined {
  if (!/^\d+$/.test(pid ?? '') || startTime === undefined || bootId === undefined) return undefined;
  return { pid: Number(pid), startTime: decodeURIComponent(startTime), bootId };
}

export interface LiveFile {
  readonly name: string;
  readonly holder: ProcessIdentity;
  /** Whether its process still runs. */
  readonly isAlive: boolean;
}

/** The files of a folder for which `holderOf` finds a process. A folder that does not exist has none. */
export function liveFiles(folder: string, holderOf: (name: string) => ProcessIdentity | undefined): LiveFile[] {
  return namesIn(folder).flatMap((name) => {
    const holder = holderOf(name);
    return holder ? [{ name, holder, isAlive: isAlive(holder) }] : [];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
