/**
 * One Postgres, one Temporal server and one build for the whole test run, in a home that is thrown away. A helper
 * process watches over them: if the test runner is killed, they are ended and the home is removed.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres, stopPostgres } from '../services/postgres/postgres.ts';
import { startTemporal, stopTemporal } from '../services/temporal/temporal.ts';
import { findTemporal } from '../services/temporal/binary.ts';
import { build } from './lab/build.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser on the run's Postgres; make a database of your own with test/lab/database.ts. */
    databaseAdminUrl: string;
    temporalAddress: string;
    /** Folder of what users run, as an installed package has it. */
    built: string;
  }
}

// Reads its stdin to the end, which comes when the runner is gone, however it went.
const WATCH = `
process.stdin.resume().on('end', async () => {
  const [home, ...pids] = process.argv.slice(1);
  for (const pid of pids) try { process.kill(Number(pid), 'SIGKILL'); } catch {}
  await new Promise((resolve) => setTimeout(resolve, 500));
  require('node:fs').rmSync(home, { recursive: true, force: true, maxRetries: 5 });
});`;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'longhaul-test-'));
  const cacheDir =
    process.env['LONGHAUL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'longhaul');
  const built = join(home, 'built');
  const starting = await Promise.allSettled([
    startPostgres({ dir: join(home, 'postgres'), logFile: join(home, 'postgres.log') }),
    startTemporal({
      dir: join(home, 'temporal'),
      logFile: join(home, 'temporal.log'),
      findProgram: () =>
        findTemporal({ cacheDir, env: process.env, onProgress: (line) => process.stderr.write(`${line}\n`) }),
    }),
    build(built),
  ]);
  const [postgres, temporal] = starting;
  const stop = async (): Promise<void> => {
    if (postgres.status === 'fulfilled') await stopPostgres(postgres.value.identity);
    if (temporal.status === 'fulfilled') await stopTemporal(temporal.value.identity);
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  const failed = starting.find((each) => each.status === 'rejected');
  if (postgres.status === 'rejected' || temporal.status === 'rejected' || failed) {
    await stop();
    throw failed?.reason;
  }
  const pids = [postgres.value.identity.pid, temporal.value.identity.pid].map(String);
  const watcher = spawn(process.execPath, ['-e', WATCH, home, ...pids], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  project.provide('databaseAdminUrl', postgres.value.url);
  project.provide('temporalAddress', temporal.value.address);
  project.provide('built', built);
  project.onTestsRerun(() => build(built));
  return async () => {
    watcher.kill('SIGKILL');
    await stop();
  };
}
