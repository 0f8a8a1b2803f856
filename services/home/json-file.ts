/** Reads and writes small JSON files. A file exists completely or not at all. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { isErrno } from '../../contract/errors.ts';
import { writePrivately } from '../../processes/whole-file.ts';

/** Writes the file so that only its owner can read it. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writePrivately(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Returns the parsed content; `undefined` if the file does not exist or its text is not JSON. */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  return parseJsonOrUndefined(text);
}

/**
 * Reads a record of what runs. `undefined`: the file is missing, is empty after a power cut, has another shape, or
 * belongs to another user. A record only saves time: its reader can determine the same facts from the running
 * processes. So a damaged record is treated as a missing one and is written again.
 */
export async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const value = await readJson(path).catch((error: unknown) => {
    if (isErrno(error, 'EACCES', 'EPERM', 'EISDIR', 'ENOTDIR')) return undefined;
    throw error;
  });
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** Parses the text as JSON. Returns `undefined` if the text is not JSON. */
export function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
