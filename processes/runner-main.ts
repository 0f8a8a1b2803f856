/**
 * The program of the runner (see runner.ts). It imports as little as possible, because each fork copies the page tables
 * of the runner's memory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { isAlive, type ProcessIdentity } from './identity.ts';
import { identityOf, type Program } from './program.ts';
import { notStarted, type RunRequest, run } from './run.ts';
import { signalGroup, waitForExits } from './end.ts';
import type { GuardedProgram, RunnerCommand, RunnerReport } from './runner.ts';
import { DescendantTracker, DESCENDANTS_END_CHECK_MS, DESCENDANTS_CHECK_MS, sweep, SWEEP_GRACE_MS } from './sweep.ts';

const ENDED_KEPT = 100;

const running = new Map<number, AbortController>();
const programs = new Map<number, { readonly guarded: GuardedProgram; readonly family: DescendantTracker }>();
/**
 * The marks of the programs that exited most recently. If the worker dies before it has swept the processes that these
 * programs left, the runner sweeps them.
 */
const endedMarks: string[] = [];
let endedFamilies: ProcessIdentity[] = [];

const report = (what: RunnerReport): void => {
  if (process.connected) process.send?.(what);
};

process.on('message', (command: RunnerCommand) => {
  if ('guard' in command) guard(command.guard);
  else if ('stop' in command) running.get(command.id)?.abort();
  else if ('run' in command) void runOne(command.id, command.run);
  else void startOne(command.id, command.start, command.pipes, command.token);
});

async function runOne(id: number, wanted: RunRequest): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  const end = await run(wanted, { signal: stop.signal, onSpawn: (pid) => report({ id, pid }) });
  running.delete(id);
  report({ id, end });
  leaveIfDone();
}

async function startOne(id: number, program: Program, address: string, token: string): Promise<void> {
  try {
    const pipes = await Promise.all([0, 1, 2].map((fd) => openPipe(address, `${token} ${fd}\n`)));
    // The process that requested the program is gone, so the program is not started: the program would outlive the
    // runner.
    if (!process.connected) return;
    const { file, args, cwd, env, mark } = program;
    const child = spawn(file, args, { cwd, env, detached: true, stdio: [pipes[0], pipes[1], pipes[2]] });
    const { pid } = child;
    if (pid !== undefined) watch(id, child, { process: identityOf(pid), ...(mark && { mark }) });
    // The child has inherited the pipes, so the runner closes its own ends.
    for (const pipe of pipes) pipe.destroy();
    if (pid === undefined) {
      const [error]: unknown[] = await once(child, 'error').catch((error: unknown) => [error]);
      report({ id, started: notStarted(error) });
    }
  } catch (error) {
    report({ id, started: notStarted(error) });
  }
}

function watch(id: number, child: ChildProcess, guarded: GuardedProgram): void {
  const { pid } = guarded.process;
  child.on('error', () => {});
  guard(guarded);
  child.once('exit', (code, signal) => {
    const left = programs.get(pid)?.family.stop() ?? [];
    endedFamilies = [...endedFamilies, ...left].slice(-ENDED_KEPT);
    programs.delete(pid);
    if (guarded.mark !== undefined) endedMarks.push(guarded.mark);
    if (endedMarks.length > ENDED_KEPT) endedMarks.shift();
    signalGroup(pid, 'SIGKILL'); // immediately, because the kernel may later give the group id to another group
    report({ id, exit: { code, signal } });
  });
  report({ id, started: guarded.process });
}

/**
 * Remembers a program that must not outlive the worker. Includes programs that the worker started itself; their exits
 * are not reported to the runner.
 */
function guard(guarded: GuardedProgram): void {
  const family = new DescendantTracker(guarded.process);
  family.follow(DESCENDANTS_CHECK_MS);
  programs.set(guarded.process.pid, { guarded, family });
}

/**
 * Connects to the worker's pipe server and sends the token. The socket is paused, so that the runner reads no bytes
 * that belong to the program.
 */
async function openPipe(address: string, greeting: string): Promise<Socket> {
  const socket = connect(address);
  socket.pause();
  await once(socket, 'connect');
  await new Promise<void>((resolve, reject) => socket.write(greeting, (error) => (error ? reject(error) : resolve())));
  return socket;
}

/**
 * Called when the process that started the runner is gone. No process reads the output of the programs any more, so
 * they are ended, and the runner exits.
 */
process.on('disconnect', () => {
  for (const stop of running.values()) stop.abort();
  void endPrograms().then(leaveIfDone, leaveIfDone);
});

let swept = false;

async function endPrograms(): Promise<void> {
  const left = [...programs.values()];
  const marks = [...endedMarks, ...left.flatMap(({ guarded }) => guarded.mark ?? [])];
  try {
    const alive = left.map(({ guarded }) => guarded.process).filter((program) => isAlive(program));
    for (const { family } of left) family.follow(DESCENDANTS_END_CHECK_MS);
    for (const { pid } of alive) signalGroup(pid, 'SIGTERM');
    await waitForExits(alive, { withinMs: SWEEP_GRACE_MS });
    const stubborn = alive.filter((program) => isAlive(program));
    // Suspends the groups, because a process that forks between the next two steps would leave an unknown child.
    for (const { pid } of stubborn) signalGroup(pid, 'SIGSTOP');
    const families = left.flatMap(({ family }) => family.stop());
    for (const { pid } of stubborn) signalGroup(pid, 'SIGKILL');
    await sweep(marks, [...endedFamilies, ...families]);
  } finally {
    swept = true;
  }
}

function leaveIfDone(): void {
  if (!process.connected && swept && running.size === 0) process.exit(0);
}

// The runner exits when the pipe to the process that started it closes. It ignores signals from the terminal and
// signals to its process group.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
report({ ready: true });
