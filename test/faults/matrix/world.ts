/** A whole Longhaul as a user has it, seen from outside, with a git that can be held. */
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findMarked } from '../../../agents/process/end.ts';
import { sendSignal } from '../../../processes/end.ts';
import type { TaskId } from '../../../contract/ids.ts';
import { type HeldGit, heldGit } from '../../lab/held-git.ts';
import { type LabHome, startHome } from '../../lab/home.ts';
import { Observer } from '../../lab/observer.ts';

/** As many as a cell has tasks, so that a slot that is not given back holds the next cell up. */
export const SLOTS = 2;

export async function startWorld(more: Readonly<Record<string, string>> = {}): Promise<World> {
  // Outside of the home, whose files are counted.
  const aside = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-matrix-aside-')));
  const git = await heldGit(path.join(aside, 'git'));
  const env = { PATH: git.env.PATH, LONGHAUL_AGENT_SLOTS: String(SLOTS), ...more };
  return new World(await startHome({ env, aside }), { aside, git });
}

export class World extends Observer {
  readonly parts: LabHome;
  readonly git: HeldGit;
  readonly #aside: string;

  constructor(parts: LabHome, { aside, git }: { readonly aside: string; readonly git: HeldGit }) {
    super(parts.seen);
    this.parts = parts;
    this.git = git;
    this.#aside = aside;
  }

  /** How many processes of the task's agent there were. */
  killAgent(taskId: TaskId): number {
    const processes = findMarked(taskId);
    for (const { pid } of processes) sendSignal(pid, 'SIGKILL');
    return processes.length;
  }

  /** Every path in the home but databases, logs, what says who runs, and the gates of a test. */
  async homeFiles(): Promise<string[]> {
    const found = await readdir(this.home, { recursive: true });
    const others = /^((mirrors|postgres|temporal|logs|run)(\/|$)|gate-|(locks|slots|worktrees)$)/;
    return found.filter((name) => !others.test(name)).toSorted();
  }

  async close(): Promise<void> {
    await this.parts.close();
    if (process.env['LONGHAUL_KEEP_LAB'] === undefined) {
      await rm(this.#aside, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
