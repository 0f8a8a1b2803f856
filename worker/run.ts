/**
 * Runs a worker: four Temporal workers that share one connection. The first runs workflows and database steps, the
 * second the steps on this host's disk, the third the steps that hold an agent slot, the fourth the probes of agents.
 * The worker runs until a signal ends it.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { type NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { exportMetrics } from '../activities/export-metrics.ts';
import { makeSteps } from '../activities/main.ts';
import { endLostAttempts, recoverFromOthers, recoverSteps } from '../activities/recover-steps.ts';
import { removeLeftFolders } from '../activities/scratch-folder.ts';
import { AnswerWatch } from '../activities/answer-watch.ts';
import { TurnRegistry } from '../activities/turns.ts';
import { workerIdentity } from '../activities/worker-identity.ts';
import { makeChanges } from '../changes/changes.ts';
import type { AgentRegistry } from '../agents/launch/registry.ts';
import type { AgentProfiles } from '../agents/profiles/profiles.ts';
import { requireProcFs } from '../agents/process/end.ts';
import { AGENT_SLOTS, AgentSlots } from '../agents/slots.ts';
import { migrateDatabase } from '../client/migrate-database.ts';
import { connectTemporal } from '../client/temporal.ts';
import { FrameWriter } from '../frames/writer.ts';
import { listFoundAgents } from '../maintenance/agents.ts';
import { followMovedHome } from '../maintenance/moved-home.ts';
import { ParkedWorktrees } from '../maintenance/parked/parked-worktrees.ts';
import { identifySelf } from '../processes/identity.ts';
import { startRunner } from '../processes/runner.ts';
import { registerHome } from '../services/home/identity.ts';
import { homePaths } from '../services/home/home.ts';
import { makeLog } from '../services/log.ts';
import { prepareServices } from '../services/prepare.ts';
import { announceReady } from '../services/supervisor/ready.ts';
import type { Settings } from '../services/settings.ts';
import { workflowBundle } from '../services/temporal/workflow-bundle.ts';
import { claimHost } from '../store/hosts.ts';
import { connect, type Sql } from '../store/sql.ts';
import { agentQueue, hostQueue, probeQueue, WORKFLOW_QUEUE } from '../contract/names.ts';
import { LonghaulError } from '../contract/errors.ts';
import { withLock } from '../worktrees/repository-lock.ts';
import type { Worktrees, WorktreesOptions } from '../worktrees/worktrees.ts';
import { connectNative, installRuntime } from './connect.ts';
import {
  SHUTDOWN_FORCE_MS,
  SHUTDOWN_GRACE_MS,
  shutDown,
  stopOnSignals,
  type StoppedParts,
  type Workers,
} from './stop.ts';

/**
 * The grace time of the turns when the worker drains. It is so long because a drain waits for the end of the turns
 * without a limit.
 */
const DRAIN_GRACE = '20 days';
/** The maximum number of git steps at the same time. The disk limits git, so more steps at once take longer. */
const GIT_STEPS_AT_ONCE = 16;
/**
 * The maximum number of probes at the same time. An agent that hangs occupies one for 30 s. If more agents started at
 * once, they would make each other slow.
 */
const PROBES_AT_ONCE = 8;

/** What worker.ts passes: its environment, its settings, and the dependencies of the steps. */
export interface WorkerChoices {
  readonly env: NodeJS.ProcessEnv;
  readonly settings: Settings;
  readonly agents: AgentRegistry;
  /** The profiles with which the registry launches agents. */
  readonly profiles?: AgentProfiles;
  readonly makeWorktrees: (options: WorktreesOptions) => Worktrees;
}

interface WorkerParts extends StoppedParts {
  readonly choices: WorkerChoices;
  readonly sql: Sql;
  readonly connection: NativeConnection;
  readonly bundle: string;
  readonly worktrees: Worktrees;
  readonly parking: ParkedWorktrees;
  /** The address at which Temporal's core serves its metrics. Undefined: the core does not serve them. */
  readonly metricsAddress: string | undefined;
}

/**
 * Runs a worker, then ends the process. The exit code is 0 if a signal has ended the worker and its steps have
 * finished, otherwise 1.
 */
export async function runWorkerProcess(choose: () => WorkerChoices): Promise<never> {
  try {
    await runWorker(choose());
    process.exit(0);
  } catch (error) {
    const said = error instanceof LonghaulError ? error.message : String((error as Error)?.stack ?? error);
    process.stderr.write(`${said}\n`);
    process.exit(1);
  }
}

async function runWorker(choices: WorkerChoices): Promise<void> {
  const { env, settings } = choices;
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
  // The worker claims the home before it uses the home or the database. In a container no `up` has claimed it.
  await registerHome(settings.home);
  const report = (news: string | undefined): void => log.info({}, news ?? 'Postgres and Temporal are available');
  const [bundle] = await Promise.all([
    workflowBundle(settings.cacheDir),
    prepareServices({ databaseUrl, temporal: target, migrate: migrateDatabase, report }),
  ]);
  // This is the last preparation, because a signal no longer ends the process by itself when the runtime is installed.
  const metricsAddress = await installRuntime(log);
  const sql = connect(databaseUrl, { max: settings.agentSlots + 10, applicationName: 'longhaul worker' });
  const [connection] = await Promise.all([
    connectNative(target),
    claimHost(sql, settings.hostName),
    listFoundAgents(sql, env['PATH'], choices.profiles),
  ]);
  const moved = await followMovedHome(settings.home, sql);
  if (moved.length > 0) log.info({ from: moved }, 'the home was moved; its worktrees are known by their new paths');
  const temporal = connectTemporal(target);
  await work({
    choices,
    settings,
    sql,
    log,
    ...openWorktrees(choices, { sql, log }),
    temporal: temporal.client,
    turns: new TurnRegistry(),
    slots: openSlots(settings),
    forceShutdown: new AbortController(),
    connection,
    bundle,
    metricsAddress,
  });
  await Promise.allSettled([connection.close(), temporal.close(), sql.end({ timeout: 5 })]);
}

/** Resolves when the workers have ended. */
async function work(parts: WorkerParts): Promise<void> {
  const { settings, sql, log, temporal, turns, slots, metricsAddress } = parts;
  const host = settings.hostName;
  const workers = await createWorkers(parts);
  // This happens before this worker takes any step.
  await Promise.all([slots.freeStale(), endLostAttempts({ sql, host }), removeLeftFolders(worktreesOf(settings))]);
  const beside = new AbortController();
  const { signal } = beside;
  stopOnSignals(workers, parts, signal);
  const turnsOver = workers.agents.run().then(() => shutDown(workers.runs, workers.disk, workers.probes));
  const running = Promise.all([turnsOver, workers.runs.run(), workers.disk.run(), workers.probes.run()]);
  if (metricsAddress !== undefined) {
    void exportMetrics({ sql, worker: `${host}/${process.pid}`, address: metricsAddress, log, signal });
  }
  const recovery = { sql, temporal, host, log, exclusively: lockOf(settings, 'lost steps') };
  await recoverSteps(recovery);
  void recoverFromOthers(recovery, signal);
  const parked = parts.parking.run(signal);
  announceReady(parts.choices.env);
  log.info({ host, slots: settings.agentSlots }, 'worker ready');
  await running;
  await turns.stopAll('shutdown');
  beside.abort();
  await parked;
}

/**
 * Opens the worktrees of this home. The home is named by its real path, as in rows, in git's files and in the
 * environment of agents.
 */
function openWorktrees(
  { env, settings, makeWorktrees }: WorkerChoices,
  { sql, log }: Pick<WorkerParts, 'sql' | 'log'>,
): Pick<WorkerParts, 'worktrees' | 'parking'> {
  const locksDir = path.join(settings.home, 'locks');
  const root = worktreesOf(settings);
  mkdirSync(root, { recursive: true, mode: 0o700 }); // git would create it so that other users can read it
  const worktrees = makeWorktrees({ locksDir, root });
  const exclusively = lockOf(settings, 'parked worktrees');
  const limits = settings.parked;
  const place = { locksDir, root, pathVariable: env['PATH'] };
  return { worktrees, parking: new ParkedWorktrees({ ...place, worktrees, sql, limits, exclusively, log }) };
}

const worktreesOf = ({ home }: Settings): string => path.join(realpathSync(home), 'worktrees');

/** Returns a lock that the workers of this home share. */
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

async function createWorkers(parts: WorkerParts): Promise<Workers> {
  const { choices, settings, sql, log, temporal, turns, slots, forceShutdown, connection, bundle } = parts;
  const { worktrees, parking } = parts;
  requireProcFs();
  const me = identifySelf();
  // The real path is used, because rows, git and processes of agents name the home by it.
  const home = realpathSync(settings.home);
  const worktreesDir = worktreesOf(settings);
  const steps = makeSteps({
    sql,
    frames: new FrameWriter(sql, (err) => log.warn({ err }, 'frames: a write failed and is retried')),
    worktrees,
    parking,
    changes: makeChanges({ locksDir: path.join(settings.home, 'locks') }),
    agents: choices.agents,
    worktreesDir,
    projectRoots: settings.projectRoots,
    temporal,
    temporalContent: settings.temporalContent,
    host: settings.hostName,
    worker: me,
    turns,
    answers: new AnswerWatch(sql),
    slots,
    forceShutdown: forceShutdown.signal,
    agentTimeouts: settings.agentTimeouts,
    hibernateAfterMs: settings.hibernateAfterMs,
    verifyResume: settings.verifyResume,
    env: { ...choices.env, LONGHAUL_HOME: home },
    log,
  });
  const shared = {
    connection,
    namespace: temporal.options.namespace,
    identity: workerIdentity(settings.hostName, me),
    shutdownGraceTime: SHUTDOWN_GRACE_MS,
    shutdownForceTime: SHUTDOWN_FORCE_MS,
    // A cancel reaches a step with the response to a heartbeat, so heartbeats are sent each second.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
  } as const;
  const [runs, disk, agents, probes] = await Promise.all([
    Worker.create({
      ...shared,
      taskQueue: WORKFLOW_QUEUE,
      workflowBundle: { codePath: bundle },
      activities: { ...steps.workflow },
      // The workflow tasks of a dead worker wait this long on its sticky queue, unless another worker resets it.
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
      // `stopOnSignals` ends the turns, so Temporal's own limits must not end them.
      shutdownGraceTime: DRAIN_GRACE,
      shutdownForceTime: DRAIN_GRACE,
    }),
    Worker.create({
      ...shared,
      taskQueue: probeQueue(settings.hostName),
      activities: { ...steps.probes },
      maxConcurrentActivityTaskExecutions: PROBES_AT_ONCE,
      maxConcurrentActivityTaskPolls: 1,
      shutdownGraceTime: 0,
    }),
  ]);
  return { runs, disk, agents, probes };
}
