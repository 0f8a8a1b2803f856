/** A home as `longhaul up -d` makes it, to be killed as a whole, and what the machine would have lost with its power. */
import { copyFile, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import { findMarked } from '../../agents/process/end.ts';
import { isAlive } from '../../processes/identity.ts';
import { homePaths, type HomeState, readState } from '../../services/home.ts';
import { sendSignal } from '../../services/processes.ts';
import type { Status } from '../../services/status.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { ProjectId, TaskId } from '../../workflows/contract.ts';
import { longhaul, type Ran } from './longhaul.ts';
import { Observer } from './observer.ts';
import { makeRepository, type SampleRepository } from './repositories.ts';
import { until } from './until.ts';

const UP_MS = 120_000;

export interface HomeOptions {
  /** Of `longhaul up`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The home's folder; default: one of its own. */
  readonly folder?: string;
}

interface Services {
  readonly addresses: string;
  readonly seen: Observer;
  readonly link: TemporalLink;
}

export class LabHome {
  readonly home: string;
  readonly #env: Record<string, string>;
  readonly #repository: SampleRepository;
  #services: Services | undefined;
  #projectId: ProjectId | undefined;

  constructor(home: string, env: Record<string, string>, repository: SampleRepository) {
    this.home = home;
    this.#env = env;
    this.#repository = repository;
  }

  /** Of the services as the last `up` found them. */
  get seen(): Observer {
    if (!this.#services) throw new TypeError('the home is expected to be up');
    return this.#services.seen;
  }

  command(...args: string[]): Promise<Ran> {
    return longhaul(this.home, args, this.#env, UP_MS);
  }

  async up(): Promise<Status> {
    const ran = await this.command('up', '-d', '--json');
    expect(ran).toMatchObject({ code: 0 });
    const status = JSON.parse(ran.stdout) as Status;
    await this.#connect(status.database_url ?? '', status.temporal_address ?? '');
    return status;
  }

  async #connect(databaseUrl: string, address: string): Promise<void> {
    const addresses = `${databaseUrl} ${address}`;
    if (this.#services?.addresses === addresses) return;
    await this.#disconnect();
    const sql = connect(databaseUrl);
    const link = connectTemporal({ namespace: 'default', connection: { address } });
    const repository = this.#repository;
    this.#projectId ??= await projectOf(sql, repository.path);
    const seen = new Observer({ home: this.home, sql, client: link.client, repository, projectId: this.#projectId });
    this.#services = { addresses, seen, link };
  }

  async #disconnect(): Promise<void> {
    await Promise.all([this.#services?.seen.sql.end({ timeout: 1 }), this.#services?.link.close()]);
  }

  /** These parts die at once; `all` of them: the agents, too. */
  async kill(names: readonly string[] | 'all'): Promise<void> {
    const state = await this.#state();
    const ids = await this.seen.sql<{ id: TaskId }[]>`SELECT id FROM tasks`;
    const parts = [{ name: 'supervisor', process: state.supervisor }, ...state.parts];
    const victims = parts
      .filter(({ name }) => names === 'all' || names.includes(name))
      .flatMap(({ process: identity }) => identity ?? [])
      .filter((identity) => isAlive(identity));
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    await until('them to be gone', () => victims.every((victim) => !isAlive(victim)));
    if (names !== 'all') return;
    for (const { id } of ids) for (const { pid } of findMarked(id)) sendSignal(pid, 'SIGKILL');
    const refused = (): Promise<boolean> =>
      this.seen.sql`SELECT 1`.then(
        () => false,
        () => true,
      );
    await until('Postgres to refuse', refused); // its children end a moment after it
  }

  async #state(): Promise<HomeState> {
    const state = await readState(homePaths(this.home));
    if (!state) throw new TypeError('the home is expected to be up');
    return state;
  }

  /** What Temporal has written so far: its server stands still for the moment of the copy. */
  async temporalNow(): Promise<string> {
    const { parts } = await this.#state();
    const pid = parts.find(({ name }) => name === 'temporal')?.process?.pid;
    if (!pid) throw new TypeError('the Temporal server is expected to run');
    const copy = await mkdtemp(path.join(this.home, 'temporal-then-'));
    process.kill(pid, 'SIGSTOP');
    try {
      await copyDatabase(path.join(this.home, 'temporal'), copy);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    return copy;
  }

  /** What came after the copy was never synced (`synchronous=NORMAL`), and is lost with the power. */
  async loseSince(copy: string): Promise<void> {
    const folder = path.join(this.home, 'temporal');
    for (const name of await databaseFiles(folder)) await rm(path.join(folder, name));
    await copyDatabase(copy, folder);
  }

  async close(): Promise<void> {
    const leaked = await this.#services?.seen.endLeaked().catch(() => []);
    await this.#disconnect();
    expect(await this.command('down')).toMatchObject({ code: 0 });
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
    expect(leaked).toEqual([]);
  }
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
  const env = { XDG_STATE_HOME: path.join(home, 'agent-state'), ...options.env };
  const lab = new LabHome(home, env, await makeRepository(path.join(home, 'project')));
  await lab.up();
  return lab;
}
