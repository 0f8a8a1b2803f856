/** A home as `longhaul up -d` makes it, whose parts are killed and brought back, and what would be lost with the power. */
import { copyFile, mkdir, mkdtemp, readdir, realpath, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import { findMarked } from '../../agents/process/end.ts';
import { isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { homePaths, type HomeState, readState } from '../../services/home/home.ts';
import { sendSignal } from '../../processes/end.ts';
import type { Status } from '../../services/status.ts';
import { REPAIR_SIGNAL } from '../../services/supervisor/supervise-home.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { longhaul, type Ran } from './longhaul.ts';
import { Observer } from './observer.ts';
import { makeRepository, type SampleRepository } from './repositories.ts';
import { suspendProcess } from './suspend.ts';
import { until } from './until.ts';

/** Only ends what hangs. */
const UP_MS = 120_000;

export type PartName = 'worker' | 'backend' | 'temporal' | 'postgres' | 'supervisor';

export interface HomeOptions {
  /** Of `longhaul up`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The home's folder; default: one of its own. */
  readonly folder?: string;
  /** Where the project and what agents keep for themselves are; default: in the home. */
  readonly aside?: string;
}

interface Services {
  readonly databaseUrl: string;
  readonly address: string;
  readonly seen: Observer;
  readonly link: TemporalLink;
}

export class LabHome {
  readonly home: string;
  readonly repository: SampleRepository;
  readonly #env: Record<string, string>;
  #services: Services | undefined;
  #projectId: ProjectId | undefined;

  constructor(home: string, env: Record<string, string>, repository: SampleRepository) {
    this.home = home;
    this.#env = env;
    this.repository = repository;
  }

  /** Of the services as the last `up` found them. */
  get seen(): Observer {
    return this.#found().seen;
  }

  get databaseUrl(): string {
    return this.#found().databaseUrl;
  }

  #found(): Services {
    if (!this.#services) throw new TypeError('the home is expected to be up');
    return this.#services;
  }

  command(...args: string[]): Promise<Ran> {
    return longhaul(this.home, args, this.#env, UP_MS);
  }

  async up(): Promise<Status> {
    const ran = await this.command('up', '-d', '--json');
    if (ran.code !== 0) await this.command('down');
    expect(ran).toMatchObject({ code: 0 });
    const status = JSON.parse(ran.stdout) as Status;
    await this.#connect(status.database_url ?? '', status.temporal_address ?? '');
    return status;
  }

  async #connect(databaseUrl: string, address: string): Promise<void> {
    if (this.#services?.databaseUrl === databaseUrl && this.#services.address === address) return;
    await this.#disconnect();
    const sql = connect(databaseUrl);
    const link = connectTemporal({ namespace: 'default', connection: { address } });
    const { repository } = this;
    this.#projectId ??= await projectOf(sql, repository.path);
    const seen = new Observer({ home: this.home, sql, client: link.client, repository, projectId: this.#projectId });
    this.#services = { databaseUrl, address, seen, link };
  }

  async #disconnect(): Promise<void> {
    await Promise.all([this.#services?.seen.sql.end({ timeout: 1 }), this.#services?.link.close()]);
    this.#services = undefined;
  }

  /** By one SIGKILL each, without a pause between; `all` of them: the agents, too. */
  async kill(names: readonly PartName[] | 'all'): Promise<void> {
    const running = runningOf(await this.#state());
    const chosen = names === 'all' ? [...running.keys()] : names;
    const victims = chosen.map((name) => expectRunning(running, name));
    const ids = names === 'all' ? await this.seen.sql<{ id: TaskId }[]>`SELECT id FROM tasks` : [];
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    await until('them to be gone', () => !victims.some(isAlive));
    if (names !== 'all') return;
    for (const { id } of ids) for (const { pid } of findMarked(id)) sendSignal(pid, 'SIGKILL');
    const refused = (): Promise<boolean> =>
      this.seen.sql`SELECT 1`.then(
        () => false,
        () => true,
      );
    await until('Postgres to refuse', refused); // its children end a moment after it
    // A connection that has not noticed yet would fail the first statement after the next `up`.
    await this.#disconnect();
  }

  /** What the user does: nothing, for a supervisor is there and does it; without one, `longhaul up -d`. */
  async revive(): Promise<void> {
    if (isAlive((await this.#state()).supervisor)) await until('all parts to be ready', () => this.#allReady(), UP_MS);
    else await this.up();
  }

  /** Tests kill faster than the supervisor takes a part for healthy again: so it starts parts without a pause. */
  async #allReady(): Promise<boolean> {
    const state = await this.#state();
    if (state.parts.every((part) => part.state === 'ready' && part.process && isAlive(part.process))) return true;
    if (state.parts.some((part) => part.state === 'waiting')) sendSignal(state.supervisor.pid, REPAIR_SIGNAL);
    return false;
  }

  async #state(): Promise<HomeState> {
    const state = await readState(homePaths(this.home));
    if (!state) throw new TypeError('the home is expected to be up');
    return state;
  }

  /**
   * Stops the Temporal server as it is. If it is still alive, it continues, or is killed with everything that it was sent
   * meanwhile.
   */
  async suspendTemporal(): Promise<{ resume(): void; kill(): void }> {
    const server = expectRunning(runningOf(await this.#state()), 'temporal');
    const signal = (name: NodeJS.Signals) => () => {
      if (isAlive(server)) process.kill(server.pid, name);
    };
    await suspendProcess(server.pid);
    return { resume: signal('SIGCONT'), kill: signal('SIGKILL') };
  }

  /** Who runs as this part now. */
  async processOf(name: PartName): Promise<ProcessIdentity> {
    return expectRunning(runningOf(await this.#state()), name);
  }

  /** What Temporal has written so far: its server stands still for the moment of the copy. */
  async temporalNow(): Promise<string> {
    const copy = await mkdtemp(path.join(this.home, 'temporal-then-'));
    const server = await this.suspendTemporal();
    try {
      await copyDatabase(path.join(this.home, 'temporal'), copy);
    } finally {
      server.resume();
    }
    return copy;
  }

  /** What came after the copy was never synced (`synchronous=NORMAL`), and is lost with the power. */
  async loseSince(copy: string): Promise<void> {
    const folder = path.join(this.home, 'temporal');
    for (const name of await databaseFiles(folder)) await rm(path.join(folder, name));
    await copyDatabase(copy, folder);
  }

  /** Renamed; nothing of it runs. */
  async movedTo(folder: string): Promise<LabHome> {
    await rename(this.home, folder);
    const moved = new LabHome(folder, this.#env, this.repository);
    moved.#projectId = this.#projectId;
    return moved;
  }

  async close(): Promise<void> {
    const leaked = (await this.#services?.seen.endLeaked().catch(() => [])) ?? [];
    await this.#disconnect();
    expect(await this.command('down')).toMatchObject({ code: 0 });
    if (process.env['LONGHAUL_KEEP_LAB'] === undefined)
      await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
    expect(leaked).toEqual([]);
  }
}

const runningOf = ({ supervisor, parts }: HomeState): Map<string, ProcessIdentity> =>
  new Map(
    [{ name: 'supervisor', process: supervisor }, ...parts].flatMap((part) =>
      part.process && isAlive(part.process) ? [[part.name, part.process] as const] : [],
    ),
  );

function expectRunning(running: ReadonlyMap<string, ProcessIdentity>, name: string): ProcessIdentity {
  const found = running.get(name);
  if (!found) throw new Error(`${name} is expected to run`);
  return found;
}

async function projectOf(sql: Sql, folder: string): Promise<ProjectId> {
  const [project] = await sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('lab', ${folder}) RETURNING id`;
  if (!project) throw new TypeError('no project');
  return project.id;
}

const databaseFiles = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.startsWith('temporal.db'));

/** Without the `-shm`, which is an index of the `-wal` in memory and made anew. */
async function copyDatabase(from: string, to: string): Promise<void> {
  for (const name of await databaseFiles(from)) {
    if (!name.endsWith('-shm')) await copyFile(path.join(from, name), path.join(to, name));
  }
}

export async function startHome(options: HomeOptions = {}): Promise<LabHome> {
  const home = options.folder ?? (await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-home-'))));
  await mkdir(home, { recursive: true });
  const aside = options.aside ?? home;
  const state = path.join(aside, 'agent-state');
  const env = { XDG_STATE_HOME: state, LONGHAUL_PARKED_WORKTREES: '0', ...options.env };
  const lab = new LabHome(home, env, await makeRepository(path.join(aside, 'project')));
  await lab.up();
  return lab;
}
