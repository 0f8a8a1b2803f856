/**
 * Records which workers of a home drain. Each of them has a file, which is valid while the worker's process is alive.
 */
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';
import { identifySelf, type ProcessIdentity } from '../../processes/identity.ts';
import { listProcessFiles, processIdentitySchema } from '../../processes/process-files.ts';
import type { HomePaths } from './home.ts';
import { parseJsonOrUndefined, writeJson } from './json-file.ts';

/** The identity that is used for a damaged file. No process has this identity. */
const NONE: ProcessIdentity = { pid: 0, startTime: '', bootId: '' };

/** Records that this process drains. The record is valid until the process exits. */
export async function recordDrain({ drains }: HomePaths): Promise<void> {
  await mkdir(drains, { recursive: true, mode: 0o700 });
  await writeJson(join(drains, `${process.pid}.json`), identifySelf());
}

/** Returns the workers that drain, and removes the files of dead workers. */
export async function drainingWorkers({ drains }: HomePaths): Promise<ProcessIdentity[]> {
  const files = listProcessFiles(drains, (name) => (name.endsWith('.json') ? holderIn(join(drains, name)) : undefined));
  for (const { name, isAlive } of files) if (!isAlive) await rm(join(drains, name), { force: true });
  return files.flatMap(({ holder, isAlive }) => (isAlive ? [holder] : []));
}

function holderIn(file: string): ProcessIdentity | undefined {
  try {
    return processIdentitySchema.safeParse(parseJsonOrUndefined(readFileSync(file, 'utf8'))).data ?? NONE;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
