/** Which workers of a home drain: a file for each, which counts while its process lives. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { identifySelf, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { isErrno } from '../../contract/errors.ts';
import type { HomePaths } from './home.ts';
import { readJson, writeJson } from './json-file.ts';
import { processIdentity } from './lock.ts';

/** This process drains from now on. */
export async function recordDrain({ drains }: HomePaths): Promise<void> {
  await mkdir(drains, { recursive: true, mode: 0o700 });
  await writeJson(join(drains, `${process.pid}.json`), identifySelf());
}

/** Removes what dead ones have left. */
export async function drainingWorkers({ drains }: HomePaths): Promise<ProcessIdentity[]> {
  const names = await readdir(drains).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const draining: ProcessIdentity[] = [];
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    const file = join(drains, name);
    const said = processIdentity.safeParse(await readJson(file));
    if (said.success && isAlive(said.data)) draining.push(said.data);
    else await rm(file, { force: true });
  }
  return draining;
}
