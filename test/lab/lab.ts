/**
 * A whole Longhaul for a test: a Temporal server and a database of its own, the intake in this process, and
 * real worker processes that can be killed. `close` fails if the test leaked a process or a worktree.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { type Intake, startIntake } from '../../client/intake.ts';
import { settleLostRuns } from '../../client/settle-lost-runs.ts';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import { startTemporal, stopTemporal, type RunningTemporal } from '../../services/temporal/temporal.ts';
import { findTemporal } from '../../services/temporal/binary.ts';
import { checkTemporal } from '../../services/temporal/connection.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { ProjectId } from '../../contract/ids.ts';
import type { TemporalContent } from '../../contract/task.ts';
import { builtModule } from './built.ts';
import { adoptedDatabase, freshDatabase, type LabDatabase } from './database.ts';
import { Observer } from './observer.ts';
import { makeRepository, type Files, type SampleRepository } from './repositories.ts';
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts';

const HOST = 'lab';

export interface LabWorker {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
}

export interface LabOptions {
  readonly slots?: number;
  readonly files?: Files;
  /** Of the user's repository, below the lab's home. */
  readonly repository?: string;
  /** Of intake and workers. */
  readonly temporalContent?: 'none';
  /** The database had exactly the tables of an old backend before it was migrated. */
  readonly oldTables?: boolean;
  /** Intake and workers reach the database by a proxy only (`lab.proxy`), the test directly. */
  readonly proxied?: boolean;
}

export async function startLab(options: LabOptions = {}): Promise<Lab> {
  const home = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-lab-')));
  const [database, temporal] = await Promise.all([
    options.oldTables ? adoptedDatabase() : freshDatabase(),
    Lab.temporalIn(home),
  ]);
  const repository = await makeRepository(path.join(home, options.repository ?? 'project'), options.files);
  const [project] = await database.sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('lab', ${repository.path}) RETURNING id`;
  if (!project) throw new TypeError('no project');
  const proxy = options.proxied ? { proxy: await tcpProxy(database.url) } : {};
  const { slots = 4, temporalContent = 'full' } = options;
  return new Lab({ home, database, temporal, repository, projectId: project.id, slots, temporalContent, ...proxy });
}

interface LabParts {
  readonly home: string;
  readonly database: LabDatabase;
  readonly temporal: RunningTemporal;
  readonly repository: SampleRepository;
  readonly projectId: ProjectId;
  readonly slots: number;
  readonly temporalContent: TemporalContent;
  readonly proxy?: TcpProxy;
}

export class Lab extends Observer {
  readonly #parts: LabParts;
  readonly #link: TemporalLink;
  readonly #stop = new AbortController();
  readonly #intake: Intake;
  readonly #intakeSql: Sql;
  readonly #workers: LabWorker[] = [];
  temporal: RunningTemporal;

  constructor(parts: LabParts) {
    const link = connectTemporal({ namespace: 'default', connection: { address: parts.temporal.address } });
    super({ ...parts, sql: parts.database.sql, client: link.client });
    this.#parts = parts;
    this.#link = link;
    this.temporal = parts.temporal;
    this.#intakeSql = parts.proxy === undefined ? this.sql : connect(parts.proxy.url, { applicationName: 'intake' });
    this.#intake = startIntake({
      sql: this.#intakeSql,
      temporal: this.client,
      host: HOST,
      temporalContent: parts.temporalContent,
      log: pino({ level: 'silent' }),
      signal: this.#stop.signal,
    });
  }

  static async temporalIn(home: string): Promise<RunningTemporal> {
    const cacheDir =
      process.env['LONGHAUL_CACHE'] ?? path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'longhaul'); // prettier-ignore
    const temporal = await startTemporal({
      dir: path.join(home, 'temporal'),
      logFile: path.join(home, 'temporal.log'),
      findProgram: () => findTemporal({ cacheDir, env: process.env, onProgress: () => {} }),
    });
    await checkTemporal({ namespace: 'default', connection: { address: temporal.address } });
    return temporal;
  }

  /** Resolves when the worker polls. */
  async startWorker(env: NodeJS.ProcessEnv = {}): Promise<LabWorker> {
    const child = spawn(process.execPath, [builtModule('worker')], {
      env: {
        ...process.env,
        DATABASE_URL: this.#parts.proxy?.url ?? this.#parts.database.url,
        TEMPORAL_ADDRESS: this.temporal.address,
        LONGHAUL_HOME: this.home,
        LONGHAUL_HOST_NAME: HOST,
        LONGHAUL_AGENT_SLOTS: String(this.#parts.slots),
        // Most tests check that a worktree is gone after its task. Those of parked worktrees give another number.
        LONGHAUL_PARKED_WORKTREES: '0',
        LONGHAUL_READY_FD: '3',
        LONGHAUL_TEMPORAL_CONTENT: this.#parts.temporalContent,
        XDG_STATE_HOME: path.join(this.home, 'agent-state'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    const log = createWriteStream(path.join(this.home, `worker-${child.pid}.log`));
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
      child.once('exit', (code, signal) => resolve(code ?? signal));
    });
    const worker: LabWorker = { pid: child.pid ?? -1, kill: (signal) => void child.kill(signal), exited };
    this.#workers.push(worker);
    const ready = new Promise<void>((resolve) => child.stdio[3]?.once('data', () => resolve()));
    const died = exited.then(async (how) => {
      const said = await readFile(path.join(this.home, `worker-${child.pid}.log`), 'utf8');
      throw new Error(`the worker ended (${how}) before it was ready: ${said.slice(-2_000)}`);
    });
    await Promise.race([ready, died]);
    died.catch(() => {});
    return worker;
  }

  get proxy(): TcpProxy {
    if (!this.#parts.proxy) throw new TypeError('this lab was started without a proxy');
    return this.#parts.proxy;
  }

  get databaseUrl(): string {
    return this.#parts.database.url;
  }

  /** What the backend does at its start and every minute. */
  settleLost(): Promise<number> {
    return settleLostRuns({ sql: this.sql, temporal: this.client, host: HOST, log: console });
  }

  /** Kills the Temporal server; `revive` starts it again on the same files and port. */
  killTemporal(): void {
    process.kill(this.temporal.identity.pid, 'SIGKILL');
  }

  async reviveTemporal(): Promise<void> {
    await this.temporal.exited;
    this.temporal = await Lab.temporalIn(this.home);
  }

  /** Kills the Temporal server, deletes its database, and starts it again on the same port. */
  async loseTemporal(): Promise<void> {
    this.killTemporal();
    await this.temporal.exited;
    const dir = path.join(this.home, 'temporal');
    const files = (await readdir(dir)).filter((name) => name.startsWith('temporal.db'));
    for (const name of files) await rm(path.join(dir, name));
    await this.reviveTemporal();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    for (const worker of this.#workers) worker.kill('SIGCONT');
    for (const worker of this.#workers) worker.kill('SIGTERM');
    await Promise.all(this.#workers.map((worker) => worker.exited));
    await this.#intake.ended;
    const leaked = await this.endLeaked();
    await this.#link.close();
    if (this.#intakeSql !== this.sql) await this.#intakeSql.end({ timeout: 1 });
    await this.#parts.proxy?.close();
    await this.#parts.database.drop();
    await stopTemporal(this.temporal.identity);
    if (process.env['LONGHAUL_KEEP_LAB'] === undefined)
      await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
    if (leaked.length > 0) throw new Error(`processes outlived the test: ${leaked.join(', ')}`);
  }
}
