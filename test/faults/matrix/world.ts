/** A whole Longhaul as a user has it (`longhaul up -d`), whose parts can be killed and brought back. */
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findMarked } from '../../../agents/process/end.ts';
import { connectTemporal, type TemporalLink } from '../../../client/temporal.ts';
import { isAlive, type ProcessIdentity } from '../../../processes/identity.ts';
import { type HomeState, homePaths, readState } from '../../../services/home.ts';
import { sendSignal } from '../../../services/processes.ts';
import type { Status } from '../../../services/status.ts';
import { REPAIR_SIGNAL } from '../../../services/supervise-home.ts';
import { connect } from '../../../store/sql.ts';
import type { ProjectId, TaskId } from '../../../workflows/contract.ts';
import { heldGit, type HeldGit } from '../../lab/held-git.ts';
import { longhaul } from '../../lab/longhaul.ts';
import { type Observed, Observer } from '../../lab/observer.ts';
import { makeRepository } from '../../lab/repositories.ts';
import { until } from '../../lab/until.ts';

/** As many as a cell has tasks, so that a slot that is not given back holds the next cell up. */
export const SLOTS = 2;
/** Only ends what hangs. */
const READY_BOUND_MS = 120_000;

export type PartName = 'worker' | 'backend' | 'temporal' | 'postgres' | 'supervisor';

export async function startWorld(): Promise<World> {
  const home = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-matrix-')));
  // Outside of the home, whose files are counted.
  const aside = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-matrix-aside-')));
  const git = await heldGit(path.join(aside, 'git'));
  const env = {
    PATH: git.env.PATH,
    XDG_STATE_HOME: path.join(aside, 'agent-state'),
    LONGHAUL_AGENT_SLOTS: String(SLOTS),
  };
  const status = await longhaulUp(home, env);
  const sql = connect(status.database_url ?? '');
  const link = connectTemporal({ namespace: 'default', connection: { address: status.temporal_address ?? '' } });
  const repository = await makeRepository(path.join(aside, 'project'));
  const [project] = await sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('matrix', ${repository.path}) RETURNING id`;
  if (!project) throw new TypeError('no project');
  const databaseUrl = status.database_url ?? '';
  return new World({ home, aside, env, git, link, databaseUrl, sql, client: link.client, repository, projectId: project.id }); // prettier-ignore
}

async function longhaulUp(home: string, env: Record<string, string>): Promise<Status> {
  const ran = await longhaul(home, ['up', '-d', '--json'], env, READY_BOUND_MS);
  if (ran.code !== 0) {
    await longhaul(home, ['down'], env, READY_BOUND_MS);
    throw new Error(`longhaul up -d ended with ${ran.code}: ${ran.stderr}`);
  }
  return JSON.parse(ran.stdout) as Status;
}

interface WorldParts extends Observed {
  readonly aside: string;
  readonly env: Record<string, string>;
  readonly git: HeldGit;
  readonly link: TemporalLink;
  readonly databaseUrl: string;
}

export class World extends Observer {
  readonly git: HeldGit;
  readonly databaseUrl: string;
  readonly #parts: WorldParts;

  constructor(parts: WorldParts) {
    super(parts);
    this.#parts = parts;
    this.git = parts.git;
    this.databaseUrl = parts.databaseUrl;
  }

  /** By one SIGKILL each, without a pause between. */
  async killParts(names: readonly PartName[]): Promise<void> {
    const processes = processesOf(await this.#state());
    const victims = names.map((name) => {
      const victim = processes.get(name);
      if (!victim || !isAlive(victim)) throw new Error(`${name} was to be killed: it does not run`);
      return victim;
    });
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    await until('the victims to be gone', () => !victims.some(isAlive));
  }

  /** Stops the Temporal server as it is; what is returned lets it go on, if it is still there. */
  async suspendTemporal(): Promise<() => void> {
    const server = processesOf(await this.#state()).get('temporal');
    if (!server) throw new Error('temporal was to be suspended: it does not run');
    process.kill(server.pid, 'SIGSTOP');
    return () => {
      if (isAlive(server)) process.kill(server.pid, 'SIGCONT');
    };
  }

  /** Processes of the task's agent. */
  killAgent(taskId: TaskId): number {
    const processes = findMarked(taskId);
    for (const { pid } of processes) sendSignal(pid, 'SIGKILL');
    return processes.length;
  }

  /** What the user does: nothing, for a supervisor is there and does it; without one, `longhaul up -d`. */
  async revive(): Promise<void> {
    const { supervisor } = await this.#state();
    if (!isAlive(supervisor)) {
      await longhaulUp(this.home, this.#parts.env);
      return;
    }
    await until('all parts to be ready', () => this.#allReady(), READY_BOUND_MS);
  }

  /** Cells follow each other faster than the supervisor takes a part for healthy again: it is told not to pause. */
  async #allReady(): Promise<boolean> {
    const state = await this.#state();
    if (state.parts.every((part) => part.state === 'ready' && part.process && isAlive(part.process))) return true;
    if (state.parts.some((part) => part.state === 'waiting')) sendSignal(state.supervisor.pid, REPAIR_SIGNAL);
    return false;
  }

  async #state(): Promise<HomeState> {
    const state = await readState(homePaths(this.home));
    if (!state) throw new Error(`no state in ${this.home}`);
    return state;
  }

  /** Every path in the home but databases, logs, what says who runs, and the gates of a test. */
  async homeFiles(): Promise<string[]> {
    const found = await readdir(this.home, { recursive: true });
    const others = /^((postgres|temporal|logs|run)(\/|$)|gate-|(locks|slots|worktrees)$)/;
    return found.filter((name) => !others.test(name)).toSorted();
  }

  async close(): Promise<void> {
    const leaked = await this.endLeaked();
    await this.sql.end({ timeout: 1 });
    await this.#parts.link.close();
    const down = await longhaul(this.home, ['down'], this.#parts.env, READY_BOUND_MS);
    if (process.env['LONGHAUL_KEEP_LAB'] === undefined) {
      for (const folder of [this.home, this.#parts.aside])
        await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
    if (down.code !== 0) throw new Error(`longhaul down ended with ${down.code}: ${down.stderr}`);
    if (leaked.length > 0) throw new Error(`processes outlived the cells: ${leaked.join(', ')}`);
  }
}

function processesOf({ supervisor, parts }: HomeState): Map<string, ProcessIdentity | null> {
  return new Map([['supervisor', supervisor], ...parts.map((part) => [part.name, part.process] as const)]);
}
