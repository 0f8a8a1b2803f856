/** `longhaul down`: stops everything of a home in order, whether or not its supervisor still lives. */
import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { prepareHome, readState, type HomePaths } from '../services/home.ts';
import { takeLock } from '../services/lock.ts';
import { makeParts } from '../services/parts.ts';
import { endProcess } from '../services/processes.ts';
import { readSettings, type Settings } from '../services/settings.ts';
import { liveSupervisor, readStatus } from '../services/status.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { runCommand } from './exit.ts';

/** The supervisor stops backend (10 s), worker (45 s), Temporal (15 s) and Postgres (40 s) one after the other. */
const SUPERVISOR_MS = 130_000;
const LOCK_MS = 140_000;

export function registerDown(program: Command): void {
  program
    .command('down')
    .description('stop backend, worker, Temporal and Postgres, in this order')
    .option('--json', 'for programs')
    .action((options: { json?: boolean }) =>
      runCommand(options, async () => {
        const stopped = await down(readSettings());
        process.stdout.write(options.json ? `${JSON.stringify({ stopped })}\n` : `${sentence(stopped)}\n`);
      }),
    );
}

function sentence(stopped: readonly string[]): string {
  return stopped.length === 0 ? 'nothing was running' : `stopped: ${stopped.join(', ')}`;
}

/** Names of what ran and is now stopped. */
export async function down(settings: Settings): Promise<string[]> {
  if (!(await exists(settings.home))) return [];
  const paths = await prepareHome(settings.home);
  const ran = (await readStatus(settings)).parts.filter((part) => part.pid !== null).map((part) => part.name);
  const lock = await takeFromSupervisor(paths);
  // With the lock held nobody starts anything; what a killed supervisor left is stopped here.
  try {
    const parts = makeParts({ settings, paths, migrate: async () => {} });
    for (const part of parts.toReversed()) await part.stop();
    return ran;
  } finally {
    await lock.release();
  }
}

/** Ends the supervisor, which stops its parts first, and takes its lock. Another `down` is waited for. */
async function takeFromSupervisor(paths: HomePaths): Promise<{ release(): Promise<void> }> {
  const deadline = Date.now() + LOCK_MS;
  for (;;) {
    const lock = await takeLock(paths.lock);
    if (lock.kind === 'held') return lock;
    const supervisor = await liveSupervisor(paths, await readState(paths));
    if (supervisor) {
      await endProcess(supervisor, [
        { signal: 'SIGTERM', withinMs: SUPERVISOR_MS },
        { signal: 'SIGKILL', withinMs: 5_000 },
      ]);
    } else if (Date.now() > deadline) {
      throw new LonghaulError('internal_error', `Process ${lock.holder.pid} holds ${paths.lock} and does not end.`);
    }
    await sleep(100);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
