/**
 * Implements the two ways in which a worker exits. A stop (SIGTERM, SIGINT) ends the worker's turns, and the next
 * worker continues them. A drain (SIGUSR2) begins no turn and waits for the end of the worker's turns. A stop can
 * follow a drain.
 */
import type { Client } from '@temporalio/client';
import type { Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { waitForOtherWorker } from '../activities/other-worker.ts';
import type { TurnRegistry } from '../activities/turns.ts';
import { workerIdentity } from '../activities/worker-identity.ts';
import type { AgentSlots } from '../agents/slots.ts';
import { pollersOf } from '../client/temporal.ts';
import { identifySelf } from '../processes/identity.ts';
import { drainingWorkers, recordDrain } from '../services/home/drains.ts';
import { homePaths } from '../services/home/home.ts';
import type { Settings } from '../services/settings.ts';
import { WORKFLOW_QUEUE } from '../contract/names.ts';
import { LonghaulError } from '../contract/errors.ts';

/** The time that running steps get after a SIGTERM. Turns are stopped at once, and the next worker resumes them. */
export const SHUTDOWN_GRACE_MS = 8_000;
export const SHUTDOWN_FORCE_MS = 12_000;
const DRAIN_SIGNAL = 'SIGUSR2';

export interface Workers {
  /** Runs workflows, and steps that need only the database. */
  readonly runs: Worker;
  /** Runs steps on this host's disk. */
  readonly disk: Worker;
  /** Runs steps that hold an agent slot. */
  readonly agents: Worker;
  /** Runs probes of agents. A probe ends at once with the worker; another worker begins it again. */
  readonly probes: Worker;
}

export interface StoppedParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly temporal: Client;
  readonly turns: TurnRegistry;
  readonly slots: AgentSlots;
  /** Aborted when steps must give up because this process exits. */
  readonly forceShutdown: AbortController;
}

/** Makes the workers finish what they have begun and poll for nothing more. */
export function shutDown(...workers: readonly Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Installs the handlers of the signals. `over` is aborted when all workers have ended. */
export function stopOnSignals({ runs, disk, agents, probes }: Workers, parts: StoppedParts, over: AbortSignal): void {
  const { turns, slots, forceShutdown, log } = parts;
  let ending: 'not' | 'draining' | 'stopping' = 'not';
  const beginNoTurn = (): void => {
    slots.close();
    shutDown(agents, probes);
  };
  const drain = (): void => {
    if (ending !== 'not') return;
    ending = 'draining';
    log.info({ turns: turns.size }, 'worker drains: it begins no turn and ends with the last of its turns');
    beginNoTurn();
    void leaveRuns(parts, over).then(() => shutDown(runs, disk));
  };
  const stop = (signal: string): void => {
    if (ending === 'stopping') return;
    ending = 'stopping';
    log.info({ signal, turns: turns.size }, 'worker stops; the next worker continues its turns');
    // The workers must take no new steps before the turns are stopped. Otherwise a stopped turn would return to this
    // worker.
    beginNoTurn();
    shutDown(runs, disk);
    void turns.stopAll('shutdown');
    const lost = new LonghaulError('worker_lost', 'the worker was shut down');
    setTimeout(() => forceShutdown.abort(lost), SHUTDOWN_GRACE_MS).unref();
    setTimeout(() => {
      log.error({ turns: turns.size }, 'the worker exits before its steps have finished');
      process.exit(1);
    }, SHUTDOWN_FORCE_MS).unref();
  };
  process.on(DRAIN_SIGNAL, drain);
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

/**
 * Waits until another worker serves the runs. The runs are left to that worker, because a newer worker may have begun
 * runs in a way that this one does not know. While there is no other worker, this one serves the runs. Otherwise no
 * process would receive a cancel or store a turn's result.
 */
async function leaveRuns({ settings, temporal, log }: StoppedParts, over: AbortSignal): Promise<void> {
  const paths = homePaths(settings.home);
  await recordDrain(paths).catch((err: unknown) => log.warn({ err }, 'the drain of this worker could not be recorded'));
  const { hostName: host } = settings;
  const identity = workerIdentity(host, identifySelf());
  const pollers = () => pollersOf(temporal, WORKFLOW_QUEUE, 'workflow');
  await waitForOtherWorker({ host, identity, pollers, draining: () => drainingWorkers(paths), log }, over);
}
