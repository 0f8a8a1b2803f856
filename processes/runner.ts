/**
 * Runs programs from a small process beside this process, the runner.
 *
 * To start a program, Node forks, and the kernel copies the page tables of the whole process. Measured: 1.6 ms from a
 * process of 45 MB, 7 ms with 100 MB more. The event loop is blocked for that time, and for some milliseconds
 * afterwards each written page costs a page fault (two cores, Node 20 and 24). A worker has 150 to 250 MB and starts a
 * dozen programs for each task.
 *
 * Until the runner is ready, and after it was lost, this process starts the programs itself, which is slower but
 * otherwise equal. The runner exits after the process that started it, however that process ends. Before the runner
 * exits, it ends all programs of both processes: their groups, their descendants, and all processes with their marks.
 * Not covered: both processes are killed at the same moment; another process then has to sweep the marks.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';
import { loaderArguments, loaderEnv, ownModulePath } from './own-module.ts';
import { PipeServer, type Pipes } from './pipe-server.ts';
import { type Exit, type Program, type ProgramStart, startAsChild, type StartedProgram } from './program.ts';
import { type NotStarted, type RunRequest, type RunEnd, run } from './run.ts';
import { signalGroup } from './end.ts';
import { descendantsOf, sweep } from './sweep.ts';
import { deferred } from '../contract/promises.ts';

/** A message to the runner. */
export type RunnerCommand =
  | { readonly id: number; readonly run: RunRequest }
  | { readonly id: number; readonly stop: true }
  /** Names a program that this process started. The runner ends the program if this process dies. */
  | { readonly guard: GuardedProgram }
  /**
   * Starts a program. Its pipes are connections to the address `pipes`. Each connection begins with `token`, a space,
   * the file descriptor (0, 1 or 2) and a line feed.
   */
  | { readonly id: number; readonly start: Program; readonly pipes: string; readonly token: string };

export interface GuardedProgram {
  readonly process: ProcessIdentity;
  readonly mark?: string;
}

/** A message from the runner. */
export type RunnerReport =
  | { readonly ready: true }
  | { readonly id: number; readonly pid: number }
  | { readonly id: number; readonly end: RunEnd }
  | { readonly id: number; readonly started: ProcessIdentity | NotStarted }
  | { readonly id: number; readonly exit: Exit };

/**
 * `lost`: the runner exited while the program ran. The program was killed; the effects that it had before are unknown.
 */
export type RunOutcome = RunEnd | { readonly kind: 'lost' };

interface Pending {
  process?: ProcessIdentity | undefined;
  onReport(report: RunnerReport): void;
  lose(): void;
}

/**
 * The pause before a lost runner is started again, so that a runner that is lost repeatedly does not keep the processor
 * busy.
 */
const RESTART_AFTER_MS = 5_000;

let runner: Runner | undefined;

/** Starts the runner. Programs run from it as soon as it is ready. A process calls this once, at its start. */
export function startRunner(): void {
  runner ??= new Runner();
}

/** Runs a short program to its end. Never rejects. */
export async function runProgram(wanted: RunRequest, signal?: AbortSignal): Promise<RunOutcome> {
  return runner?.current() === undefined ? run(wanted, signal && { signal }) : runner.run(wanted, signal);
}

/** Starts a long-running program that communicates through its pipes. Never rejects. */
export async function startProgram(program: Program): Promise<ProgramStart> {
  if (runner?.current() !== undefined) return runner.start(program);
  const start = await startAsChild(program);
  if (start.kind === 'started') runner?.guard(start.program, program.mark);
  return start;
}

class Runner {
  readonly #pipes = new PipeServer();
  #child: ChildProcess | undefined;
  #ready = false;
  #startedAt = 0;
  #lastId = 0;
  readonly #pending = new Map<number, Pending>();
  /** The programs that this process started itself, while no runner was ready. */
  readonly #here = new Set<GuardedProgram>();

  constructor() {
    this.#launch();
  }

  guard({ identity, exited }: StartedProgram, mark: string | undefined): void {
    const guarded: GuardedProgram = { process: identity, ...(mark && { mark }) };
    this.#here.add(guarded);
    void exited.then(() => this.#here.delete(guarded));
    if (this.#ready) this.#send({ guard: guarded });
  }

  /** Returns the runner's process if it is ready. Restarts a runner that was lost. */
  current(): ChildProcess | undefined {
    if (this.#child === undefined && performance.now() - this.#startedAt > RESTART_AFTER_MS) this.#launch();
    return this.#ready ? this.#child : undefined;
  }

  async run(wanted: RunRequest, signal?: AbortSignal): Promise<RunOutcome> {
    const id = this.#nextId();
    const stop = (): void => this.#send({ id, stop: true });
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await new Promise<RunOutcome>((resolve) => {
        this.#expect(id, {
          lose: () => resolve({ kind: 'lost' }),
          onReport(report) {
            if ('pid' in report) this.process = identify(report.pid);
            else if ('end' in report) resolve(withBuffer(report.end));
          },
        });
        this.#send({ id, run: wanted });
        if (signal?.aborted) stop();
      });
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#forget(id);
    }
  }

  async start(program: Program): Promise<ProgramStart> {
    const id = this.#nextId();
    const pipes = await this.#pipes.expect();
    const { promise: exited, resolve: exit } = deferred<Exit>();
    const begun = await new Promise<ProcessIdentity | NotStarted>((resolve) => {
      this.#expect(id, {
        lose: () => {
          resolve({
            kind: 'not_started',
            notFound: false,
            message: 'the runner that was to start the program has exited',
          });
          exit({ code: null, signal: 'SIGKILL', runnerLost: true });
        },
        onReport(report) {
          if ('exit' in report) exit(report.exit);
          if (!('started' in report)) return;
          if (!('kind' in report.started)) this.process = report.started;
          resolve(report.started);
        },
      });
      this.#send({ id, start: program, pipes: pipes.address, token: pipes.token });
    });
    void exited.then(() => this.#forget(id));
    if ('kind' in begun) {
      this.#forget(id);
      pipes.close();
      return begun;
    }
    return { kind: 'started', program: await withPipes(begun, pipes, exited) };
  }

  #launch(): void {
    this.#startedAt = performance.now();
    const entry = ownModulePath('processes/runner-main');
    const child = fork(entry, {
      execArgv: loaderArguments(entry),
      env: { ...process.env, ...loaderEnv() },
      cwd: '/',
      serialization: 'advanced', // transfers buffers as bytes
      detached: true, // a Ctrl-C in the terminal must not reach the runner
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child = child;
    child.on('message', (report: RunnerReport) => {
      if ('ready' in report) this.#begin();
      else this.#pending.get(report.id)?.onReport(report);
    });
    for (const event of ['error', 'disconnect', 'exit']) child.on(event, () => this.#lose(child));
    child.unref();
    child.channel?.unref();
  }

  #begin(): void {
    this.#ready = true;
    for (const guarded of this.#here) this.#send({ guard: guarded });
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #expect(id: number, pending: Pending): void {
    this.#pending.set(id, pending);
    this.#child?.channel?.ref();
  }

  /** The channel to the runner keeps this process alive only while an answer is pending. */
  #forget(id: number): void {
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#child?.channel?.unref();
  }

  /** If a message cannot be sent, the runner is lost, and `#lose` ends the pending requests. */
  #send(command: RunnerCommand): void {
    const child = this.#child;
    if (child?.connected) child.send(command, () => {});
    else if (child) this.#lose(child);
    else if ('id' in command) this.#pending.get(command.id)?.lose();
  }

  #lose(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#ready = false;
    child.kill('SIGKILL');
    const left = [...this.#pending.values()];
    this.#pending.clear();
    const alive = left.flatMap(({ process: program }) => (program && isAlive(program) ? [program] : []));
    // The groups are suspended first, because a process that forks later would leave an unknown child. The descendants
    // are read before the groups are killed, because a child without a mark is known only while its parent is alive.
    for (const { pid } of alive) signalGroup(pid, 'SIGSTOP');
    const tree = descendantsOf(alive);
    for (const { pid } of alive) signalGroup(pid, 'SIGKILL');
    if (tree.length > 0) void sweep([], tree).catch(() => {}); // the callers that started the programs sweep the marks
    for (const pending of left) pending.lose();
    // Restarts the runner even if no program is started, because the runner must guard the programs that this process
    // starts meanwhile.
    setTimeout(() => this.current(), RESTART_AFTER_MS).unref();
  }
}

function withBuffer(end: RunEnd): RunEnd {
  return end.kind === 'ended' ? { ...end, stdout: Buffer.from(end.stdout) } : end;
}

async function withPipes(identity: ProcessIdentity, pipes: Pipes, exited: Promise<Exit>): Promise<StartedProgram> {
  const [stdin, stdout, stderr] = await pipes.connected;
  const over = [stdout, stderr].map(
    (pipe) => new Promise<void>((resolve) => (pipe.destroyed ? resolve() : pipe.once('close', () => resolve()))),
  );
  stdin.resume(); // no data arrives on this pipe; reading is needed to detect the end of the pipe
  const closed = Promise.all([exited, ...over]).then(() => undefined);
  return { identity, stdin, stdout, stderr, exited, closed };
}
