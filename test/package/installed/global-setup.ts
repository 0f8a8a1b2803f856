/**
 * Packs this checkout and installs the package twice, without install scripts: into an empty folder, and as a global
 * one that its user cannot write. Node and the Temporal server are copied to where that user can reach them.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { findTemporal } from '../../../services/temporal/binary.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Holds longhaul.tgz, app/ (installed there), global/ (read-only), and bin/ with node and temporal. */
    place: string;
  }
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const place = await mkdtemp(join(tmpdir(), 'longhaul-package-'));
  const remove = async (): Promise<void> => {
    await promisify(execFile)('chmod', ['-R', 'u+w', place]);
    await rm(place, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await prepare(place);
  } catch (error) {
    await remove();
    throw error;
  }
  project.provide('place', place);
  return remove;
}

async function prepare(place: string): Promise<void> {
  await chmod(place, 0o755);
  const packed = await npm(ROOT, 'pack', '--pack-destination', place);
  const tarball = join(place, packed.trim().split('\n').at(-1) ?? '');
  await copyFile(tarball, join(place, 'longhaul.tgz'));
  await mkdir(join(place, 'app'));
  await writeFile(join(place, 'app', 'package.json'), '{ "name": "app", "type": "module", "private": true }\n');
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball];
  await npm(join(place, 'app'), ...install);
  await mkdir(join(place, 'global'));
  await npm(place, ...install, '--global', '--prefix', join(place, 'global'));
  await promisify(execFile)('chmod', ['-R', 'a-w', join(place, 'global')]);
  await mkdir(join(place, 'bin'));
  await cp(process.execPath, join(place, 'bin', 'node'));
  await cp(await temporal(), join(place, 'bin', 'temporal'));
}

function temporal(): Promise<string> {
  const cacheDir =
    process.env['LONGHAUL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'longhaul');
  return findTemporal({ cacheDir, env: process.env, onProgress: (line) => process.stderr.write(`${line}\n`) });
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  // npm's variables of the run that started this one do not apply to these.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(?!config_cache)/i.test(name)));
  const { stdout } = await promisify(execFile)('npm', [...args, '--loglevel=error'], {
    cwd,
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}
