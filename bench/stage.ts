/**
 * A complete Longhaul for a bench: a temporary home whose parts run from the build as `longhaul up` starts them, and a
 * small project. Tasks are submitted as any program would submit them: by inserting a row.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectTemporal, type TemporalLink } from '../client/temporal.ts';
import { TASKS_CHANNEL } from '../store/channels.ts';
import { ensureUp } from '../services/ensure-up.ts';
import { type HomePaths, prepareHome, readState } from '../services/home/home.ts';
import { endProcess } from '../processes/end.ts';
import { type RunningProcess, spawnDetached } from '../services/supervisor/detached.ts';
import { listen, type Listener } from '../store/listen.ts';
import { connect, type Sql } from '../store/sql.ts';
import { makeRepository, type SampleRepository } from '../test/lab/repositories.ts';
import type { ProjectId, TaskId } from '../contract/ids.ts';
import { taskWorkflowId } from '../contract/names.ts';
import { isFinal, type TaskState } from '../contract/task.ts';

const AGENTS = ['trivial', 'token-stream'];
const STOP_MS = 60_000;
/** Timeout of an operation. No measured operation takes nearly as long. */
const TASK_MS = 300_000;

export interface StageOptions {
  /** The folder of the build. */
  readonly dist: string;
  readonly slots?: number;
  /** The supervisor's program and arguments. Default: `longhaul up` of the build. */
  readonly supervisor?: readonly string[];
  /** Variables that override the shell's environment. An undefined value removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

export interface EndedTask {
  readonly id: TaskId;
  readonly state: TaskState;
  readonly kept_worktree: string | null;
  readonly output_summary: string | null;
  /** The time from the insert of the row to the end of the task, by Postgres' clock. */
  readonly took_ms: number;
}

export const PARTS = ['postgres', 'temporal', 'worker', 'backend'] as const;
export type PartName = (typeof PARTS)[number];

export class Stage {
  readonly home: string;
  readonly sql: Sql;
  readonly temporal: TemporalLink;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly project: SampleRepository;
  readonly projectId: ProjectId;
  readonly signal: AbortSignal;
  /** The environment of the programs that the stage starts. */
  readonly env: NodeJS.ProcessEnv;
  /** Starts the parts that do not run, as `longhaul up -d` does. */
  readonly up: () => Promise<void>;
  readonly #paths: HomePaths;
  readonly #listener: Listener;
  readonly #waiting = new Map<string, () => void>();

  constructor(parts: StageParts) {
    this.home = parts.paths.home;
    this.sql = parts.sql;
    this.temporal = parts.temporal;
    this.databaseUrl = parts.databaseUrl;
    this.temporalAddress = parts.temporalAddress;
    this.project = parts.project;
    this.projectId = parts.projectId;
    this.signal = parts.signal;
    this.env = parts.env;
    this.up = parts.up;
    this.#paths = parts.paths;
    this.#listener = listen(parts.sql, {
      channels: [TASKS_CHANNEL],
      onNotify: (_, id) => this.#waiting.get(id)?.(),
      onListening: () => this.#wakeAll(),
    });
  }

  listening(): Promise<void> {
    return this.#listener.listening;
  }

  async submit(agent: string, input: string): Promise<TaskId> {
    const [row] = await this.sql<{ id: TaskId }[]>`
      INSERT INTO tasks (project_id, input, agent) VALUES (${this.projectId}, ${input}, ${agent}) RETURNING id`;
    if (!row) throw new TypeError('the insert returned no task');
    return row.id;
  }

  /** Inserts `count` rows in one statement. */
  async submitMany(agent: string, input: string, count: number, projectId = this.projectId): Promise<TaskId[]> {
    const rows = await this.sql<{ id: TaskId }[]>`
      INSERT INTO tasks (project_id, input, agent)
      SELECT ${projectId}::uuid, ${input}, ${agent} FROM generate_series(1, ${count}::int) RETURNING id`;
    return rows.map(({ id }) => id);
  }

  /** Waits until the task's row is final. Fails unless the task completed and its worktree was removed. */
  async ended(taskId: TaskId): Promise<EndedTask> {
    const task = await this.untilRow(taskId, `the end of task ${taskId}`, (row) => isFinal(row.state));
    if (task.state !== 'completed') throw new Error(`task ${taskId} is ${task.state}: ${task.output_summary}`);
    if (task.kept_worktree !== null) throw new Error(`task ${taskId} has left its worktree: ${task.kept_worktree}`);
    return task;
  }

  /** Waits until the row passes the test. Checks at each change of the task's state, and twice a second. */
  async untilRow(taskId: TaskId, what: string, test: (row: EndedTask) => boolean): Promise<EndedTask> {
    const deadline = performance.now() + TASK_MS;
    for (;;) {
      this.signal.throwIfAborted();
      const rung = new Promise<void>((resolve) => this.#waiting.set(taskId, resolve));
      const [row] = await this.sql<EndedTask[]>`
        SELECT id, state, output_summary, kept_worktree, extract(epoch FROM ended_at - created_at)::float8 * 1000 AS took_ms
          FROM tasks WHERE id = ${taskId}`;
      if (row && test(row)) {
        this.#waiting.delete(taskId);
        return row;
      }
      if (performance.now() > deadline) throw new Error(`waited ${TASK_MS} ms for ${what}; it is ${row?.state}`);
      await Promise.race([rung, pause(500, this.signal)]);
    }
  }

  /** Submits one task and waits until its run has ended. Nothing else runs meanwhile. */
  async run(agent: string, input: string): Promise<EndedTask> {
    const task = await this.ended(await this.submit(agent, input));
    // The row becomes final shortly before the run is closed. The next task must not begin before the run is closed.
    await this.temporal.client.workflow.getHandle(taskWorkflowId(task.id)).result();
    return task;
  }

  /** Waits until none of the tasks is open. Fails unless all tasks completed. */
  async allEnded(taskIds: readonly TaskId[]): Promise<void> {
    for (const id of taskIds) await this.ended(id);
  }

  /** Returns the pid of each part. A part that is started again has another pid. */
  async pids(): Promise<Record<PartName, number>> {
    const state = await readState(this.#paths);
    const found = PARTS.map((name) => {
      const pid = state?.parts.find((part) => part.name === name)?.process?.pid;
      if (pid === undefined) throw new Error(`${name} has no process: expected all parts to run in ${this.home}`);
      return [name, pid] as const;
    });
    return Object.fromEntries(found) as Record<PartName, number>;
  }

  #wakeAll(): void {
    for (const wake of this.#waiting.values()) wake();
  }

  async disconnect(): Promise<void> {
    await this.#listener.close();
    await this.temporal.close();
    await this.sql.end({ timeout: 1 });
  }
}

interface StageParts {
  readonly paths: HomePaths;
  readonly sql: Sql;
  readonly temporal: TemporalLink;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly project: SampleRepository;
  readonly projectId: ProjectId;
  readonly signal: AbortSignal;
  readonly env: NodeJS.ProcessEnv;
  readonly up: () => Promise<void>;
}

/** Calls `use` with a stage and always removes the stage, also when `signal` is aborted. */
export async function onStage<T>(options: StageOptions, use: (stage: Stage) => Promise<T>): Promise<T> {
  const { signal } = options;
  const home = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-bench-')));
  const env = environment(home, options);
  const entry = path.join(options.dist, 'cli', 'main.js');
  const paths = await prepareHome(home);
  const supervisorLog = path.join(paths.logs, 'supervisor.log');
  let supervisor: Promise<RunningProcess> | undefined;
  const startSupervisor = (): Promise<RunningProcess> => {
    signal.throwIfAborted();
    const args = [...(options.supervisor ?? [entry, 'up'])];
    supervisor = spawnDetached({ command: process.execPath, args, env, cwd: home, logFile: supervisorLog });
    return supervisor;
  };
  const up = (): Promise<void> => ensureUp({ paths, startSupervisor, supervisorLog, report: () => {} });
  const work = async (): Promise<T> => {
    await unlessAborted(up(), signal);
    const stage = await openStage({ paths, env, signal, up });
    try {
      return await unlessAborted(use(stage), signal);
    } finally {
      await stage.disconnect();
    }
  };
  const outcome = await work().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  // A failure of the cleanup must not hide the error that led to it.
  const spawned = await supervisor?.catch(() => undefined);
  const untidy = await takeDown({ paths, entry, env, supervisor: spawned }).catch((error: unknown) => error);
  if ('error' in outcome) throw outcome.error;
  if (untidy !== undefined) throw untidy;
  return outcome.value;
}

async function openStage({
  paths,
  env,
  signal,
  up,
}: Pick<StageParts, 'paths' | 'env' | 'signal' | 'up'>): Promise<Stage> {
  const facts = (await readState(paths))?.facts;
  const { databaseUrl, temporalAddress } = facts ?? {};
  if (databaseUrl === undefined || temporalAddress === undefined)
    throw new Error(`${paths.stateFile} names no services`);
  const project = await makeRepository(path.join(paths.home, 'project'));
  const sql = connect(databaseUrl, { max: 4, applicationName: 'longhaul bench' });
  const temporal = connectTemporal({ namespace: 'default', connection: { address: temporalAddress } });
  const [row] = await sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('bench', ${project.path}) RETURNING id`;
  if (!row) throw new TypeError('the insert returned no project');
  for (const name of AGENTS) {
    await sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES (${name}, true, ${agentPath(name)})`;
  }
  const stage = new Stage({
    paths,
    sql,
    temporal,
    databaseUrl,
    temporalAddress,
    project,
    projectId: row.id,
    signal,
    env,
    up,
  });
  await stage.listening();
  return stage;
}

/** Returns the path of an agent in bench/agents. */
export const agentPath = (name: string): string => fileURLToPath(new URL(`./agents/${name}.js`, import.meta.url));

/**
 * Returns the shell's environment without the variables that point to the user's own Longhaul. Agents store their
 * sessions in the stage's home.
 */
function environment(home: string, { dist, slots, env }: StageOptions): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) =>
      name === 'LONGHAUL_CACHE' || !/^(DATABASE_URL$|DEFAULT_MODEL$|NODE_OPTIONS$|TEMPORAL_|LONGHAUL_|TSX_)/.test(name),
  );
  return {
    ...Object.fromEntries(inherited),
    TEMPORAL_CONFIG_FILE: devNull,
    LONGHAUL_HOME: home,
    BENCH_DIST: dist,
    LONGHAUL_LISTEN: '127.0.0.1:0',
    XDG_STATE_HOME: path.join(home, 'agent-state'),
    ...(slots === undefined ? {} : { LONGHAUL_AGENT_SLOTS: String(slots) }),
    ...env,
  };
}

interface TakeDown {
  readonly paths: HomePaths;
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly supervisor: RunningProcess | undefined;
}

async function takeDown({ paths, entry, env, supervisor }: TakeDown): Promise<void> {
  if (supervisor) {
    await endProcess(supervisor.identity, [
      { signal: 'SIGTERM', withinMs: STOP_MS },
      { signal: 'SIGKILL', withinMs: 5_000 },
    ]);
    const parts = (await readState(paths))?.parts ?? [];
    // `down` runs in a process group of its own, because Ctrl-C must reach only the bench.
    if (!parts.every(({ state }) => state === 'stopped')) {
      const down = spawn(process.execPath, [entry, 'down'], { env, detached: true, stdio: 'inherit' });
      await once(down, 'exit');
    }
  }
  await rm(paths.home, { recursive: true, force: true, maxRetries: 5 });
}

/** Resolves after the time, or at once when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await unlessAborted(new Promise((resolve) => setTimeout(resolve, ms)), signal).catch(() => {});
}

/**
 * Resolves with the result of `work`. Rejects with the signal's reason when the signal is aborted; `work` is not ended.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
  });
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
