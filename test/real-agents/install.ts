/**
 * Gets the agents under test into the cache, each in a folder of its own. A folder gets its final name by a
 * rename, under a lock: an interrupted install never passes for a whole one, and of two runs one installs.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { takeLock } from '../../services/home/lock.ts';
import { PACKAGES } from './packages.ts';

const run = promisify(execFile);
const INSTALL_TIMEOUT_MS = 15 * 60_000;

export const cacheDir = (): string =>
  process.env['LONGHAUL_CACHE'] ??
  path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'longhaul');

const folderOf = (spec: string, cache: string): string => path.join(cache, 'agents', spec);

/** Where the agents' commands are, for PATH. */
export function commandFolders(cache = cacheDir()): string[] {
  return Object.values(PACKAGES).map((spec) => path.join(folderOf(spec, cache), 'node_modules', '.bin'));
}

export async function installAgents(say: (line: string) => void, cache = cacheDir()): Promise<void> {
  for (const spec of Object.values(PACKAGES)) await install(spec, { say, cache });
}

/** As `npm install -g` does it, install scripts included, so that what is tested is what users get. */
export async function npmInstall(spec: string, folder: string): Promise<void> {
  const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', spec];
  // In the folder itself: npm takes `name@version` for a path where one of that name lies.
  await run('npm', args, { cwd: folder, timeout: INSTALL_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 });
}

export interface Install {
  readonly say: (line: string) => void;
  readonly cache: string;
  readonly get?: (spec: string, folder: string) => Promise<void>;
}

export async function install(spec: string, { say, cache, get = npmInstall }: Install): Promise<void> {
  const folder = folderOf(spec, cache);
  if (existsSync(folder)) return;
  const lock = await waitForLock(path.join(cache, 'agents', 'lock'), () => say(`${spec}: another run installs agents`));
  try {
    if (existsSync(folder)) return;
    say(`${spec}: installing into ${folder}`);
    const started = performance.now();
    const workshop = `${folder}.part`;
    await rm(workshop, { recursive: true, force: true }); // of an install that was killed
    await mkdir(workshop, { recursive: true });
    await get(spec, workshop);
    await rename(workshop, folder);
    say(`${spec}: installed in ${Math.round((performance.now() - started) / 1_000)} s`);
  } finally {
    await lock.release();
  }
}

async function waitForLock(folder: string, onWait: () => void): Promise<{ release(): Promise<void> }> {
  for (let said = false; ; said = true) {
    const lock = await takeLock(folder);
    if (lock.kind === 'held') return lock;
    if (!said) onWait();
    await sleep(300);
  }
}
