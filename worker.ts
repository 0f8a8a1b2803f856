/**
 * The worker process: composition root of everything that runs steps. Three Temporal workers share one
 * connection: workflows and database steps, steps on this host's disk, and steps that hold an agent slot.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { type Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { exportMetrics } from './activities/export-metrics.ts';
import { makeSteps } from './activities/main.ts';
import { endLostAttempts, recoverFromOthers, recoverSteps } from './activities/recover-steps.ts';
import { untilServedElsewhere } from './activities/runs-elsewhere.ts';
import { HISTOGRAM_BUCKETS } from './activities/step-metrics.ts';
import { TurnRegistry } from './activities/turns.ts';
import { workerIdentity } from './activities/worker-identity.ts';
import { launchAcp } from './agents/launch/acp.ts';
import { makeAgentRegistry } from './agents/launch/registry.ts';
import { requireProc } from './agents/process/end.ts';
import { AGENT_SLOTS, AgentSlots } from './agents/slots.ts';
import { migrateDatabase } from './client/migrate-database.ts';
import { connectTemporal, pollersOf, type TemporalTarget } from './client/temporal.ts';
import { FrameWriter } from './frames/writer.ts';
import { listFoundAgents } from './maintenance/agents.ts';
import { followMovedHome } from './maintenance/moved-home.ts';
import { identifySelf } from './processes/identity.ts';
import { startRunner } from './processes/runner.ts';
import { drainingWorkers, recordDrain } from './services/home/drains.ts';
import { claimHome } from './services/home/identity.ts';
import { homePaths } from './services/home/home.ts';
import { makeLog } from './services/log.ts';
import { freePort } from './services/supervisor/ports.ts';
import { prepareServices } from './services/prepare.ts';
import { announceReady } from './services/supervisor/ready.ts';
import { readSettings, type Settings } from './services/settings.ts';
import { workflowBundle } from './services/temporal/workflow-bundle.ts';
import { claimHost } from './store/hosts.ts';
import { connect, type Sql } from './store/sql.ts';
import { agentQueue, hostQueue, WORKFLOW_QUEUE } from './contract/names.ts';
import { LonghaulError, messageOf } from './contract/errors.ts';
import { withLock } from './worktrees/repository-lock.ts';
import { makeWorktrees } from './worktrees/worktrees.ts';

/** Steps that are running get this long after a SIGTERM; turns are stopped at once and resumed by the next worker. */
const SHUTDOWN_GRACE_MS = 8_000;
const SHUTDOWN_FORCE_MS = 12_000;
/** A worker that drains lets its turns come to their end, however long that takes. */
const DRAIN_GRACE = '20 days';
/** Told so, a worker drains: it begins no turn and ends with the last of its turns. */
const DRAIN_SIGNAL = 'SIGUSR2';
/** git works the disk; more at once only take longer. */
const GIT_STEPS_AT_ONCE = 16;

async function main(): Promise<void> {
  const settings = readSettings(process.env);
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
  await claimHome(settings.home); // before anything in it or in the database is touched: in a container no `up` has
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
  const moved = await followMovedHome(settings.home, sql);
  if (moved.length > 0) log.info({ from: moved }, 'the home was moved; its worktrees are known by their new paths');
  const temporal = connectTemporal(target);
  await work({
    settings,
    sql,
    log,
    temporal: temporal.client,
    turns: new TurnRegistry(),
    slots: openSlots(settings),
    hurry: new AbortController(),
    connection,
    bundle,
    metricsAddress,
  });
  await Promise.allSettled([connection.close(), temporal.close(), sql.end({ timeout: 5 })]);
}

/** Until it is told to end, and has. */
async function work(parts: WorkerParts): Promise<void> {
  const { settings, sql, log, temporal, turns, slots, metricsAddress } = parts;
  const host = settings.hostName;
  const workers = await createWorkers(parts);
  // Before this worker takes any step.
  await Promise.all([slots.freeStale(), endLostAttempts({ sql, host })]);
  const beside = new AbortController();
  const { signal } = beside;
  stopOnSignals(workers, parts, signal);
  const turnsOver = workers.agents.run().then(() => shutDown(workers.runs, workers.disk));
  const running = Promise.all([turnsOver, workers.runs.run(), workers.disk.run()]);
  if (metricsAddress !== undefined) {
    void exportMetrics({ sql, worker: `${host}/${process.pid}`, address: metricsAddress, log, signal });
  }
  const recovery = { sql, temporal, host, log, exclusively: lockOf(settings, 'lost steps') };
  await recoverSteps(recovery);
  void recoverFromOthers(recovery, signal);
  announceReady(process.env);
  log.info({ host, slots: settings.agentSlots }, 'worker ready');
  await running;
  await turns.stopAll('shutdown');
  beside.abort();
}

interface WorkerParts {
  readonly settings: Settings;
  readonly sql: Sql;
  readonly log: Logger;
  readonly temporal: Client;
  readonly turns: TurnRegistry;
  readonly slots: AgentSlots;
  readonly hurry: AbortController;
  readonly connection: NativeConnection;
  readonly bundle: string;
  /** Where the core shows its metrics; undefined: nowhere. */
  readonly metricsAddress: string | undefined;
}

/** Between the workers of this home. */
function lockOf({ home }: Settings, subject: string): <T>(work: () => Promise<T>) => Promise<T> {
  return (work) => withLock({ locksDir: path.join(home, 'locks'), subject }, work);
}

function openSlots(settings: Settings): AgentSlots {
  const meter = Runtime.instance().metricMeter;
  const held = meter.createGauge(
    'longhaul_agent_slots_held',
    'int',
    undefined,
    'Slots that turns of this worker have.',
  );
  held.set(0);
  return new AgentSlots({
    home: realpathSync(settings.home),
    folder: homePaths(settings.home).slots,
    count: settings.agentSlots,
    exclusively: lockOf(settings, AGENT_SLOTS),
    onUse: (count) => held.set(count),
  });
}

interface Workers {
  /** Workflows, and steps that need but the database. */
  readonly runs: Worker;
  /** Steps on this host's disk. */
  readonly disk: Worker;
  /** Steps that hold an agent slot. */
  readonly agents: Worker;
}

async function createWorkers(parts: WorkerParts): Promise<Workers> {
  const { settings, sql, log, temporal, turns, slots, hurry, connection, bundle } = parts;
  requireProc();
  const me = identifySelf();
  // Its real path: rows, git and what is left of agents know it by that.
  const home = realpathSync(settings.home);
  const worktreesDir = path.join(home, 'worktrees');
  mkdirSync(worktreesDir, { recursive: true, mode: 0o700 }); // git would let other users in
  const steps = makeSteps({
    sql,
    frames: new FrameWriter(sql, (err) => log.warn({ err }, 'frames: a write failed and is tried again')),
    worktrees: makeWorktrees({ locksDir: path.join(settings.home, 'locks'), root: worktreesDir }),
    agents: makeAgentRegistry({ acp: launchAcp }),
    worktreesDir,
    projectRoots: settings.projectRoots,
    temporal,
    temporalContent: settings.temporalContent,
    host: settings.hostName,
    worker: me,
    turns,
    slots,
    hurry: hurry.signal,
    agentTimeouts: settings.agentTimeouts,
    env: { ...process.env, LONGHAUL_HOME: home },
    log,
  });
  const shared = {
    connection,
    namespace: temporal.options.namespace,
    identity: workerIdentity(settings.hostName, me),
    shutdownGraceTime: SHUTDOWN_GRACE_MS,
    shutdownForceTime: SHUTDOWN_FORCE_MS,
    // A cancel reaches a step with the answer to a heartbeat.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  } as const;
  const [runs, disk, agents] = await Promise.all([
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
      // What ends turns is not Temporal's patience but `stopOnSignals`.
      shutdownGraceTime: DRAIN_GRACE,
      shutdownForceTime: DRAIN_GRACE,
    }),
  ]);
  return { runs, disk, agents };
}

/** What they have begun is finished; they ask for nothing more. */
function shutDown(...workers: readonly Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
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
    const why = messageOf(error);
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
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      // A run that fails says how its task ended: a line of the finish step has it. Our bugs fail workflow tasks instead.
      const told = message === 'Workflow failed' ? 'debug' : levels[level];
      log[told]({ ...meta }, message);
    }),
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
        // Two workers of a host stand beside each other in one text.
        metrics: {
          globalTags: { worker: String(process.pid) },
          prometheus: { ...prometheus, histogramBucketOverrides: HISTOGRAM_BUCKETS },
        },
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

/**
 * A stop ends the turns, too, and the next worker goes on with them; a drain waits for their end, and can be stopped.
 * `over` is aborted once all has ended.
 */
function stopOnSignals({ runs, disk, agents }: Workers, parts: WorkerParts, over: AbortSignal): void {
  const { turns, slots, hurry, log } = parts;
  let ending: 'not' | 'draining' | 'stopping' = 'not';
  const beginNoTurn = (): void => {
    slots.close();
    shutDown(agents);
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
    log.info({ signal, turns: turns.size }, 'worker stops; its turns go on with the next one');
    // No new steps first, then the turns: else a stopped turn would come straight back to this worker.
    beginNoTurn();
    shutDown(runs, disk);
    void turns.stopAll('shutdown');
    const lost = new LonghaulError('worker_lost', 'the worker was shut down');
    setTimeout(() => hurry.abort(lost), SHUTDOWN_GRACE_MS).unref();
    setTimeout(() => {
      log.error({ turns: turns.size }, 'the worker ends although steps of its are not done');
      process.exit(1);
    }, SHUTDOWN_FORCE_MS).unref();
  };
  process.on(DRAIN_SIGNAL, drain);
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

/**
 * A newer worker may have begun runs in a way that this one does not know, so they are left to it. Without one they go on
 * here: nobody else would hear a cancel, or put away what a turn has made.
 */
async function leaveRuns({ settings, temporal, log }: WorkerParts, over: AbortSignal): Promise<void> {
  const paths = homePaths(settings.home);
  await recordDrain(paths).catch((err: unknown) => log.warn({ err }, 'nobody can see that this worker drains'));
  const { hostName: host } = settings;
  const identity = workerIdentity(host, identifySelf());
  const pollers = () => pollersOf(temporal, WORKFLOW_QUEUE, 'workflow');
  await untilServedElsewhere({ host, identity, pollers, draining: () => drainingWorkers(paths), log }, over);
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
