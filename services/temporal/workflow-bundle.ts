/**
 * Bundles the workflow code into one file, which Temporal's sandbox requires. Bundling takes seconds, which would delay
 * a worker that replaces a dead one. So the bundle is made once for each state of the sources and stored in the cache.
 * A published package contains its bundle.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';
import { exists } from '../../processes/exists.ts';
import { refuseWritableByOthers } from '../home/private-folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PREBUILT = path.join(ROOT, 'workflow-bundle.js');
/** The folders whose files are the bundle's sources, relative to the root. */
const FOLDERS = ['contract', 'workflows'];

/** Returns the path of the bundle, and makes the bundle if it is missing. */
export async function workflowBundle(cacheDir: string): Promise<string> {
  if (await exists(PREBUILT)) return PREBUILT;
  const file = path.join(cacheDir, 'workflow-bundles', `${await fingerprint()}.js`);
  if (await exists(file)) {
    await refuseWritableByOthers(path.dirname(file));
    // The time is updated because `longhaul gc` removes bundles that were not used for a long time.
    const now = new Date();
    await utimes(file, now, now).catch(() => undefined);
    return file;
  }
  await mkdir(path.dirname(file), { recursive: true });
  await refuseWritableByOthers(path.dirname(file));
  const half = `${file}.${process.pid}`;
  await writeFile(half, await makeBundle());
  await rename(half, file);
  return file;
}

/** Bundles the workflow code and returns the code of the bundle. */
export async function makeBundle(): Promise<string> {
  const main = (await sources()).find((name) => path.basename(name).startsWith('main.'));
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(ROOT, main ?? 'workflows/main.js'),
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error },
  });
  return code;
}

async function sources(): Promise<string[]> {
  const names = FOLDERS.map(async (folder) =>
    (await readdir(path.join(ROOT, folder))).map((name) => path.join(folder, name)),
  );
  return (await Promise.all(names))
    .flat()
    .filter((name) => /(?<!\.d)\.[tj]s$/.test(name))
    .sort();
}

async function fingerprint(): Promise<string> {
  const { version } = createRequire(import.meta.url)('@temporalio/worker/package.json') as { version: string };
  const hash = createHash('sha256').update(`${version} ${process.version}`);
  for (const name of await sources()) hash.update(`\0${name}\0`).update(await readFile(path.join(ROOT, name)));
  return hash.digest('hex').slice(0, 24);
}
