/**
 * The worker process: composition root of everything that runs steps. Three Temporal workers share one
 * connection: workflows and database steps, steps on this host's disk, and steps that hold an agent slot.
 */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { type Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { exportMetrics } from './activities/export-metrics.ts';
import { makeSteps } from './activities/main.ts';
import { endLostAgents, recoverSteps, workerIdentity } from './activities/recover-steps.ts';
import { HISTOGRAM_BUCKETS } from './activities/step-metrics.ts';
import { TurnRegistry } from './activities/turns.ts';
import { requireProc } from './agents/process/end.ts';
import { migrateDatabase } from './client/migrate-database.ts';
import { connectTemporal, type TemporalTarget } from './client/temporal.ts';
import { FrameWriter } from './frames/writer.ts';
import { listFoundAgents } from './maintenance/agents.ts';
import { identifySelf } from './processes/identity.ts';
import { startRunner } from './processes/runner.ts';
import { makeLog } from './services/log.ts';
import { freePort } from './services/ports.ts';
import { prepareServices } from './services/prepare.ts';
import { announceReady } from './services/ready.ts';
import { readSettings, type Settings } from './services/settings.ts';
import { workflowBundle } from './services/workflow-bundle.ts';
import { claimHost } from './store/hosts.ts';
import { connect, type Sql } from './store/sql.ts';
import { agentQueue, hostQueue, WORKFLOW_QUEUE } from './workflows/contract.ts';
import { LonghaulError } from './workflows/errors.ts';
import { makeWorktrees } from './worktrees/worktrees.ts';

/** Steps that are running get this long after a SIGTERM; turns are stopped at once and resumed by the next worker. */
const SHUTDOWN_GRACE = '8s';
const SHUTDOWN_FORCE = '12s';
/** git works the disk; more at once only take longer. */
const GIT_STEPS_AT_ONCE = 16;

async function main(): Promise<void> {
  const settings = readSettings();
  const log = makeLog('worker');
  startRunner();
  const databaseUrl = settings.databaseUrl;
  if (databaseUrl === undefined || settings.temporal.kind === 'embedded') {
    throw new LonghaulError(
      'invalid_input',
      'The worker needs DATABASE_URL and TEMPORAL_ADDRESS. `longhaul up` starts it with both.',
    );
  }
  const { target } = settings.temporal;
  const say = (news: string | undefined): void => log.info({}, news ?? 'Postgres and Temporal are there');
  const [bundle] = await Promise.all([
    workflowBundle(settings.cacheDir),
    prepareServices({ databaseUrl, temporal: target, migrate: migrateDatabase, say }),
  ]);
  // Only now: once it is installed, a signal no longer ends the process by itself.
  const metricsAddress = await installRuntime(log);
  const sql = connect(databaseUrl, { max: settings.agentSlots + 10, applicationName: 'longhaul worker' });
  const [connection] = await Promise.all([
    connectNative(target),
    claimHost(sql, settings.hostName),
    listFoundAgents(sql, process.env['PATH']),
  ]);
  const temporal = connectTemporal(target);
  const turns = new TurnRegistry();
  const workers = await createWorkers({ settings, sql, log, temporal: temporal.client, turns, connection, bundle });
  await endLostAgents({ sql, host: settings.hostName, log });
  stopOnSignals(workers, turns, log);
  const running = Promise.all(workers.map((worker) => worker.run()));
  const exporting = new AbortController();
  if (metricsAddress !== undefined) {
    void exportMetrics({ sql, host: settings.hostName, address: metricsAddress, log, signal: exporting.signal });
  }
  await recoverSteps({ sql, temporal: temporal.client, host: settings.hostName, log });
  announceReady();
  log.info({ host: settings.hostName, slots: settings.agentSlots }, 'worker ready');
  await running;
  await turns.stopAll('shutdown');
  exporting.abort();
  await Promise.allSettled([connection.close(), temporal.close(), sql.end({ timeout: 5 })]);
}

interface WorkerParts {
  readonly settings: Settings;
  readonly sql: Sql;
  readonly log: Logger;
  readonly temporal: Client;
  readonly turns: TurnRegistry;
  readonly connection: NativeConnection;
  readonly bundle: string;
}

async function createWorkers({
  settings,
  sql,
  log,
  temporal,
  turns,
  connection,
  bundle,
}: WorkerParts): Promise<Worker[]> {
  requireProc();
  const me = identifySelf();
  // Its real path: rows, git and what is left of agents know it by that.
  const home = realpathSync(settings.home);
  const worktreesDir = path.join(home, 'worktrees');
  const steps = makeSteps({
    sql,
    frames: new FrameWriter(sql, (err) => log.warn({ err }, 'frames: a write failed and is tried again')),
    worktrees: makeWorktrees({ locksDir: path.join(settings.home, 'locks'), root: worktreesDir }),
    worktreesDir,
    projectRoots: settings.projectRoots,
    temporal,
    host: settings.hostName,
    worker: me,
    turns,
    agentTimeouts: settings.agentTimeouts,
    env: { ...process.env, LONGHAUL_HOME: home },
    log,
  });
  const shared = {
    connection,
    namespace: temporal.options.namespace,
    identity: workerIdentity(settings.hostName, me),
    shutdownGraceTime: SHUTDOWN_GRACE,
    shutdownForceTime: SHUTDOWN_FORCE,
    // A cancel reaches a step with the answer to a heartbeat.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  } as const;
  return Promise.all([
    Worker.create({
      ...shared,
      taskQueue: WORKFLOW_QUEUE,
      workflowBundle: { codePath: bundle },
      activities: { ...steps.workflow },
      // A dead worker's workflows wait this long on its sticky queue where nobody resets it.
      stickyQueueScheduleToStartTimeout: '1s',
    }),
    Worker.create({
      ...shared,
      taskQueue: hostQueue(settings.hostName),
      activities: { ...steps.host },
      maxConcurrentActivityTaskExecutions: GIT_STEPS_AT_ONCE,
    }),
    Worker.create({
      ...shared,
      taskQueue: agentQueue(settings.hostName),
      activities: { ...steps.agents },
      maxConcurrentActivityTaskExecutions: settings.agentSlots,
    }),
  ]);
}

async function connectNative({
  connection: { address, tls, apiKey, metadata },
}: TemporalTarget): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({
      ...(address === undefined ? {} : { address }),
      ...(tls ? { tls } : {}),
      ...(typeof apiKey === 'string' ? { apiKey } : {}),
      ...(metadata ? { metadata } : {}),
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LonghaulError('service_unreachable', `The worker cannot connect to Temporal at ${address}: ${why}`, {
      cause: error,
    });
  }
}

/** Returns where the core shows its metrics, if it found a port for them. */
async function installRuntime(log: Logger): Promise<string | undefined> {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  const options = {
    // Signals are ours: a stop begins with the turns.
    shutdownSignals: [],
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => log[levels[level]]({ ...meta }, message)),
  };
  // The core speaks only through this: without it a worker that lost its server is silent.
  const logging = { forward: {}, filter: 'WARN,temporalio_client=ERROR' };
  const bindAddress = `127.0.0.1:${await freePort()}`;
  try {
    const prometheus = { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };
    Runtime.install({
      ...options,
      telemetryOptions: {
        logging,
        metrics: { prometheus: { ...prometheus, histogramBucketOverrides: HISTOGRAM_BUCKETS } },
      },
    });
    return bindAddress;
  } catch (error) {
    // Somebody took the port meanwhile: tasks matter more.
    log.warn({ err: error }, 'the worker goes without metrics');
    Runtime.install({ ...options, telemetryOptions: { logging } });
    return undefined;
  }
}

function stopOnSignals(workers: readonly Worker[], turns: TurnRegistry, log: Logger): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal, turns: turns.size }, 'worker stops; its turns go on with the next one');
    // No new steps first, then the turns: else a stopped turn would come straight back to this worker.
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    void turns.stopAll('shutdown');
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(
    `${error instanceof LonghaulError ? error.message : String((error as Error)?.stack ?? error)}\n`,
  );
  process.exit(1);
}
