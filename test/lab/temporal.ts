/** A Temporal server of a test's own, to be stopped and started again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TemporalTarget } from '../../client/temporal.ts';
import { startTemporal, stopTemporal, type RunningTemporal } from '../../services/temporal/temporal.ts';
import { findTemporal } from '../../services/temporal/binary.ts';
import { suspendProcess } from './suspend.ts';

export interface LabTemporal {
  readonly target: TemporalTarget;
  stop(): Promise<void>;
  /** It hangs: connections stay, nothing is answered. */
  suspend(): Promise<void>;
  resume(): void;
  /** On the same port, with what it knew. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

export async function labTemporal(): Promise<LabTemporal> {
  const dir = await mkdtemp(join(tmpdir(), 'longhaul-temporal-'));
  const cacheDir =
    process.env['LONGHAUL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'longhaul');
  const options = {
    dir,
    logFile: join(dir, 'log'),
    findProgram: () => findTemporal({ cacheDir, env: process.env, onProgress: () => {} }),
  };
  let running: RunningTemporal | undefined = await startTemporal(options);
  const stop = async (): Promise<void> => {
    if (running) await stopTemporal(running.identity);
    running = undefined;
  };
  return {
    target: { namespace: 'default', connection: { address: running.address, tls: false } },
    stop,
    suspend: async () => running && suspendProcess(running.identity.pid),
    resume: () => void (running && process.kill(running.identity.pid, 'SIGCONT')),
    async start() {
      running ??= await startTemporal(options);
    },
    async remove() {
      await stop();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
