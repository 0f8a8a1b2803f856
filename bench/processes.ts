/** Reads the CPU time and memory of processes from /proc. Linux only, like the rest of the bench. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { readProc } from '../processes/identity.ts';
import { homePaths, readState } from '../services/home/home.ts';
import { PARTS, type Stage } from './stage.ts';

const TICK_MS = 1_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface ProcessUse {
  readonly pid: number;
  readonly parent: number;
  /** CPU time of the process itself. */
  readonly ownMs: number;
  /** CPU time of its descendants that have exited and were waited for. */
  readonly endedMs: number;
}

function useOf(pid: number): ProcessUse | undefined {
  const text = readProc(`/proc/${pid}/stat`)?.toString('latin1');
  if (text === undefined) return undefined;
  // proc(5): field 4 is the parent; 14 and 15 are utime and stime, 16 and 17 those of waited-for children.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent = 0, utime = 0, stime = 0, cutime = 0, cstime = 0] = [1, 11, 12, 13, 14].map((at) => fields[at]);
  return { pid, parent, ownMs: (utime + stime) * TICK_MS, endedMs: (cutime + cstime) * TICK_MS };
}

const allProcesses = (): ProcessUse[] =>
  readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (useOf(Number(name)) ?? []) : []));

const commandLine = (pid: number): string =>
  readProc(`/proc/${pid}/cmdline`)?.toString('utf8').replaceAll('\0', ' ') ?? '';

/** Returns `root` and all its descendants. */
function tree(root: number, all: readonly ProcessUse[]): ProcessUse[] {
  const found = all.filter(({ pid }) => pid === root);
  for (const one of found) found.push(...all.filter(({ parent }) => parent === one.pid));
  return found;
}

/** Returns whether the process is a runner, which starts git and agents beside the worker so that a fork is cheap. */
const isRunner = (pid: number): boolean => commandLine(pid).includes('runner-main');

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export interface CpuUse {
  readonly worker: number;
  /** The runner itself, without the git processes and agents that it starts. */
  readonly runner: number;
  /**
   * Git and agents have one figure together, because both are children of the runner, and the kernel adds up the time
   * of children.
   */
  readonly git_and_agents: number;
  readonly backend: number;
  readonly temporal: number;
  readonly postgres: number;
}

/**
 * Returns the CPU time that each part has used so far, in ms. Agents and git processes that are still running are not
 * included.
 */
export async function cpuUse(stage: Stage): Promise<CpuUse> {
  const pids = await stage.pids();
  const all = allProcesses();
  const one = (pid: number): ProcessUse =>
    all.find((found) => found.pid === pid) ?? { pid, parent: 0, ownMs: 0, endedMs: 0 };
  const runners = all.filter(({ pid, parent }) => parent === pids.worker && isRunner(pid));
  const server = tree(pids.postgres, all);
  return {
    worker: one(pids.worker).ownMs,
    runner: sum(runners.map(({ ownMs }) => ownMs)),
    git_and_agents: sum(runners.map(({ endedMs }) => endedMs)) + one(pids.worker).endedMs,
    backend: one(pids.backend).ownMs,
    temporal: one(pids.temporal).ownMs,
    postgres: sum(server.map(({ ownMs }) => ownMs)) + one(pids.postgres).endedMs,
  };
}

/** Returns the difference of two readings for each part, divided by the number of tasks. */
export const cpuPerTask = (before: CpuUse, after: CpuUse, tasks: number): Record<string, number> =>
  Object.fromEntries(Object.entries(after).map(([part, ms]) => [part, (ms - before[part as keyof CpuUse]) / tasks]));

/** Returns the pid of the worker's runner, or undefined if none runs. */
export async function runnerPid(stage: Stage): Promise<number | undefined> {
  const { worker } = await stage.pids();
  return allProcesses().find(({ pid, parent }) => parent === worker && isRunner(pid))?.pid;
}

/** Returns the pid in the state file of the stage's supervisor. Fails if no supervisor has written the file. */
export async function supervisorPid({ home }: Stage): Promise<number> {
  const pid = (await readState(homePaths(home)))?.supervisor.pid;
  if (pid === undefined) throw new Error(`no supervisor has written its state in ${home}`);
  return pid;
}

/** Returns the number of the process's open file descriptors. */
export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Returns the resident memory of the process in KB, or 0 if the process does not exist. */
export const rssKb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/status`)?.toString('latin1') ?? '')?.[1] ?? 0);

export interface MemoryUse {
  readonly rssMb: number;
  /** Proportional set size: each shared page counts as its size divided by the number of processes that share it. */
  readonly pssMb: number;
}

function memoryOf(pids: readonly number[]): MemoryUse {
  const texts = pids.map((pid) => readProc(`/proc/${pid}/smaps_rollup`)?.toString('latin1') ?? '');
  const megabytes = (field: string): number =>
    sum(texts.map((text) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0))) / 1_024;
  return { rssMb: megabytes('Rss'), pssMb: megabytes('Pss') };
}

/** Returns the memory of each part with its helper processes, without agents and git. */
export async function memoryUse(stage: Stage): Promise<Record<string, MemoryUse>> {
  const pids = await stage.pids();
  const all = allProcesses();
  const runners = all.filter(({ pid, parent }) => parent === pids.worker && isRunner(pid)).map(({ pid }) => pid);
  const of = Object.fromEntries(PARTS.map((part) => [part, memoryOf([pids[part]])]));
  return { ...of, runner: memoryOf(runners), postgres: memoryOf(tree(pids.postgres, all).map(({ pid }) => pid)) };
}
