/**
 * Runs short programs from a small process beside this one.
 *
 * To start a program, Node forks, and the kernel copies the page tables of all that the process has in
 * memory: measured 1.6 ms from a process of 45 MB, 7 ms with 100 MB more, and as long does the event loop
 * stand still (two cores, Node 20 and 24). A worker has 150 to 250 MB and runs git a dozen times a task.
 *
 * Until the runner is ready, and where it was lost, programs run from this process: slower, otherwise the
 * same. The runner ends with the process that started it, and ends what it runs before that. Not covered:
 * both are killed at once; then what it ran is found by whatever mark its environment carries.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';
import { loaderArguments, loaderEnv, moduleOfOurs } from './own-module.ts';
import { type Run, type RunEnd, run, signalGroup } from './run.ts';

/** To the runner. */
export type RunnerCommand = { readonly id: number; readonly run: Run } | { readonly id: number; readonly stop: true };
/** From it. */
export type RunnerReport =
  | { readonly ready: true }
  | { readonly id: number; readonly pid: number }
  | { readonly id: number; readonly end: RunEnd };

/** `lost`: the runner ended in the middle of it. The program was killed; what it had done by then is unknown. */
export type RunOutcome = RunEnd | { readonly kind: 'lost' };

interface Pending {
  readonly resolve: (end: RunOutcome) => void;
  process?: ProcessIdentity | undefined;
}

/** One that is lost again and again must not be started in a loop. */
const RESTART_AFTER_MS = 5_000;

let runner: Runner | undefined;

/** From now on programs run from the runner, once it is ready. Call it where the process is put together. */
export function startRunner(): void {
  runner ??= new Runner();
}

export async function runProgram(wanted: Run, signal?: AbortSignal): Promise<RunOutcome> {
  return runner === undefined ? run(wanted, signal && { signal }) : runner.run(wanted, signal);
}

class Runner {
  #child: ChildProcess | undefined;
  #ready = false;
  #startedAt = 0;
  #lastId = 0;
  readonly #pending = new Map<number, Pending>();

  constructor() {
    this.#start();
  }

  async run(wanted: Run, signal?: AbortSignal): Promise<RunOutcome> {
    const child = this.#child;
    if (child === undefined && performance.now() - this.#startedAt > RESTART_AFTER_MS) this.#start();
    if (child === undefined || !this.#ready) return run(wanted, signal && { signal });
    this.#lastId += 1;
    const id = this.#lastId;
    const stop = (): void => this.#tell(child, { id, stop: true });
    const end = new Promise<RunOutcome>((resolve) => this.#pending.set(id, { resolve }));
    child.channel?.ref();
    this.#tell(child, { id, run: wanted });
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      return await end;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  #start(): void {
    this.#startedAt = performance.now();
    const entry = moduleOfOurs('processes/runner-main');
    const child = fork(entry, {
      execArgv: loaderArguments(entry),
      env: { ...process.env, ...loaderEnv() },
      cwd: '/',
      serialization: 'advanced', // bytes go through as bytes
      // A Ctrl-C is for the process that started it.
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child = child;
    child.on('message', (report: RunnerReport) => this.#hear(report));
    child.on('error', () => this.#lose(child));
    child.on('disconnect', () => this.#lose(child));
    child.on('exit', () => this.#lose(child));
    child.unref();
    child.channel?.unref();
  }

  /** A message that cannot be sent belongs to a runner that is lost: `#lose` answers for it. */
  #tell(child: ChildProcess, command: RunnerCommand): void {
    if (child.connected) child.send(command, () => {});
    else this.#lose(child);
  }

  #hear(report: RunnerReport): void {
    if ('ready' in report) {
      this.#ready = true;
      return;
    }
    const pending = this.#pending.get(report.id);
    if (pending === undefined) return;
    if ('pid' in report) {
      pending.process = identify(report.pid);
      return;
    }
    this.#pending.delete(report.id);
    // It keeps no process alive that waits for nothing.
    if (this.#pending.size === 0) this.#child?.channel?.unref();
    const { end } = report;
    pending.resolve(end.kind === 'ended' ? { ...end, stdout: Buffer.from(end.stdout) } : end);
  }

  #lose(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#ready = false;
    child.kill('SIGKILL');
    for (const { process: left } of this.#pending.values()) {
      if (left !== undefined && isAlive(left)) signalGroup(left.pid, 'SIGKILL');
    }
    for (const { resolve } of this.#pending.values()) resolve({ kind: 'lost' });
    this.#pending.clear();
  }
}
