/**
 * Runs programs from a small process beside this one.
 *
 * To start a program, Node forks, and the kernel copies the page tables of all that the process has in
 * memory. Measured: 1.6 ms from a process of 45 MB, 7 ms with 100 MB more; as long does the event loop stand
 * still, and for some milliseconds after it every page that is written costs a fault (two cores, Node 20 and
 * 24). A worker has 150 to 250 MB and starts a dozen programs a task.
 *
 * Until the runner is ready, and where it was lost, programs run from this process: slower, otherwise the
 * same. It ends with the process that started it, however that ends, after it has ended all programs of both: their
 * groups, their descendants, and what carries their marks. Not covered: both are killed at once; then another
 * process has to sweep the marks.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';
import { loaderArguments, loaderEnv, moduleOfOurs } from './own-module.ts';
import { PipeServer, type Pipes } from './pipe-server.ts';
import { type Exit, type Program, type ProgramStart, startAsChild, type StartedProgram } from './program.ts';
import { type NotStarted, type Run, type RunEnd, run } from './run.ts';
import { signalGroup } from './end.ts';
import { descendantsOf, sweep } from './sweep.ts';
import { deferred } from '../contract/promises.ts';

/** To the runner. */
export type RunnerCommand =
  | { readonly id: number; readonly run: Run }
  | { readonly id: number; readonly stop: true }
  /** A program that was started from here, to be ended with us. */
  | { readonly guard: Guarded }
  /** Its pipes are connections to `pipes`, each of which begins with `token`, a blank, 0, 1 or 2, and a line feed. */
  | { readonly id: number; readonly start: Program; readonly pipes: string; readonly token: string };

export interface Guarded {
  readonly process: ProcessIdentity;
  readonly mark?: string;
}

/** From it. */
export type RunnerReport =
  | { readonly ready: true }
  | { readonly id: number; readonly pid: number }
  | { readonly id: number; readonly end: RunEnd }
  | { readonly id: number; readonly started: ProcessIdentity | NotStarted }
  | { readonly id: number; readonly exit: Exit };

/** `lost`: the runner ended in the middle of it. The program was killed; what it had done by then is unknown. */
export type RunOutcome = RunEnd | { readonly kind: 'lost' };

interface Pending {
  process?: ProcessIdentity | undefined;
  onReport(report: RunnerReport): void;
  lose(): void;
}

/** One that is lost again and again must not be started in a loop. */
const RESTART_AFTER_MS = 5_000;

let runner: Runner | undefined;

/** From now on programs run from the runner, once it is ready. Call it where the process is put together. */
export function startRunner(): void {
  runner ??= new Runner();
}

/** Runs a short program to its end. Never rejects. */
export async function runProgram(wanted: Run, signal?: AbortSignal): Promise<RunOutcome> {
  return runner?.current() === undefined ? run(wanted, signal && { signal }) : runner.run(wanted, signal);
}

/** Starts a program that is talked to. Never rejects. */
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
  /** Programs that run from this process. */
  readonly #here = new Set<Guarded>();

  constructor() {
    this.#launch();
  }

  guard({ identity, exited }: StartedProgram, mark: string | undefined): void {
    const guarded: Guarded = { process: identity, ...(mark && { mark }) };
    this.#here.add(guarded);
    void exited.then(() => this.#here.delete(guarded));
    if (this.#ready) this.#send({ guard: guarded });
  }

  /** Undefined while there is none that is ready; one that was lost is started again. */
  current(): ChildProcess | undefined {
    if (this.#child === undefined && performance.now() - this.#startedAt > RESTART_AFTER_MS) this.#launch();
    return this.#ready ? this.#child : undefined;
  }

  async run(wanted: Run, signal?: AbortSignal): Promise<RunOutcome> {
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
          resolve({ kind: 'not_started', notFound: false, message: 'the process that was to start it has ended' });
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
    const entry = moduleOfOurs('processes/runner-main');
    const child = fork(entry, {
      execArgv: loaderArguments(entry),
      env: { ...process.env, ...loaderEnv() },
      cwd: '/',
      serialization: 'advanced', // bytes go through as bytes
      detached: true, // a Ctrl-C is for the process that started it
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

  /** It keeps no process alive that waits for nothing. */
  #forget(id: number): void {
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#child?.channel?.unref();
  }

  /** A message that cannot be sent belongs to a runner that is lost: `#lose` answers for it. */
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
    // Before their groups: a child without a mark is known only while its parent is alive.
    for (const { pid } of alive) signalGroup(pid, 'SIGSTOP'); // one that forks now would leave an unknown child
    const tree = descendantsOf(alive);
    for (const { pid } of alive) signalGroup(pid, 'SIGKILL');
    if (tree.length > 0) void sweep([], tree).catch(() => {}); // the starter of the others sweeps their marks
    for (const pending of left) pending.lose();
    // Not only with the next program: what runs from here meanwhile is to be guarded.
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
  stdin.resume(); // nothing comes, but its end is noticed
  const closed = Promise.all([exited, ...over]).then(() => undefined);
  return { identity, stdin, stdout, stderr, exited, closed };
}
