/**
 * Files that are valid only while the process that made them is alive: locks, agent slots, drains. A file contains the
 * identity of its process, in its name or in its text, and never a bare pid. So a file from before a reboot is never
 * valid.
 *
 * Not covered: processes in another container. This process cannot see them, so their files count as files of dead
 * processes.
 */
import { readdirSync } from 'node:fs';
import { z } from 'zod';
import { isErrno } from '../contract/errors.ts';
import { isAlive, type ProcessIdentity } from './identity.ts';

/** The schema of an identity in the text of a file. */
export const processIdentitySchema = z.object({ pid: z.number().int(), startTime: z.string(), bootId: z.string() });

/** Encodes an identity as three parts of a file's name. */
export const identityNameParts = ({ pid, startTime, bootId }: ProcessIdentity): readonly [string, string, string] => [
  String(pid),
  encodeURIComponent(startTime),
  bootId,
];

/** Decodes the parts that `identityNameParts` made. Returns `undefined` if the parts are not an identity. */
export function identityOfParts(
  pid: string | undefined,
  startTime: string | undefined,
  bootId: string | undefined,
): ProcessIdentity | undefined {
  if (!/^\d+$/.test(pid ?? '') || startTime === undefined || bootId === undefined) return undefined;
  return { pid: Number(pid), startTime: decodeURIComponent(startTime), bootId };
}

export interface ProcessFile {
  readonly name: string;
  readonly holder: ProcessIdentity;
  /** Whether the process of the file still runs. */
  readonly isAlive: boolean;
}

/**
 * Returns the files in `folder` for which `holderOf` returns a process. If the folder does not exist, the list is
 * empty.
 */
export function listProcessFiles(
  folder: string,
  holderOf: (name: string) => ProcessIdentity | undefined,
): ProcessFile[] {
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
