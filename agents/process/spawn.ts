/**
 * One agent process with an owner: a process group of its own, no shell, an identity that is known at
 * once, stderr always drained, and an end that leaves nothing behind.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, type ProcessIdentity } from '../../processes/identity.ts';
import type { TaskId } from '../../workflows/contract.ts';
import { LonghaulError } from '../../workflows/errors.ts';
import type { AgentProfile } from '../catalog.ts';
import { endProcessGroup, killGroup, requireProc, sweepSpawn } from './end.ts';
import { agentEnvironment } from './environment.ts';
import { findCommand } from './find-command.ts';

const STDERR_KEPT_BYTES = 64 * 1024;
/** How long an agent may take to leave by itself once its stdin is closed. */
const EOF_GRACE_MS = 250;
/** After the agent's end: how long its stdout may stay open and silent before we stop listening. */
const SILENT_AFTER_EXIT_MS = 2_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface AgentProcess {
  readonly identity: ProcessIdentity;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exited: Promise<Exit>;
  /** The process is gone and its output has been read or given up. */
  readonly closed: Promise<void>;
  /** The last 64 KB. */
  stderrTail(): string;
  /** Ends the process, its group and everything marked. Never fails; a second call waits for the first. */
  end(): Promise<void>;
}

export interface SpawnAgent {
  readonly profile: AgentProfile;
  readonly taskId: TaskId;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export function notInstalled(profile: AgentProfile, detail: string): LonghaulError {
  const hint = profile.installHint ?? 'Install it, or correct install_path in available_agents.';
  return new LonghaulError('agent_not_installed', `The agent ${profile.name} cannot be started: ${detail}. ${hint}`);
}

/** Keeps the end of a stream. */
function keepTail(stream: Readable, bytes: number): () => string {
  let tail = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]);
    if (tail.length > bytes) tail = Buffer.from(tail.subarray(tail.length - bytes));
  });
  stream.on('error', () => {}); // a broken pipe of a process that is going
  return () => tail.toString('utf8');
}

async function start(
  { profile, taskId, cwd, env }: SpawnAgent,
  spawnId: string,
): Promise<ChildProcessWithoutNullStreams> {
  const environment = agentEnvironment({ env, profile, taskId, spawnId });
  const program = findCommand(profile.command, environment['PATH']);
  if (program === undefined) throw notInstalled(profile, `${profile.command} is not a program on this machine`);
  if (!existsSync(cwd)) {
    throw new LonghaulError('internal_error', `The agent ${profile.name} was to start in ${cwd}, which is not there.`);
  }
  const child = spawn(program, profile.args, { cwd, env: environment, detached: true, stdio: 'pipe' });
  if (child.pid === undefined) {
    const [error]: unknown[] = await once(child, 'error').catch((error: unknown) => [error]);
    throw notInstalled(profile, error instanceof Error ? error.message : String(error));
  }
  return child;
}

/** A process that is in nobody's group and has no marker may hold our end of the pipe open for ever. */
async function stopListening(stdout: Readable): Promise<void> {
  // Node reads ahead even while nobody consumes: nothing buffered means nothing in the pipe either.
  for (let silentMs = 0; silentMs < SILENT_AFTER_EXIT_MS; silentMs += 100) {
    if (stdout.readableEnded || stdout.destroyed) return;
    if (stdout.readableLength > 0) silentMs = 0;
    await sleep(100, undefined, { ref: false });
  }
  stdout.destroy();
}

/** Fails with agent_not_installed if there is nothing to start. */
export async function spawnAgent(options: SpawnAgent): Promise<AgentProcess> {
  requireProc();
  const spawnId = randomUUID();
  const child = await start(options, spawnId);
  const pid = child.pid ?? 0;
  const stderrTail = keepTail(child.stderr, STDERR_KEPT_BYTES);
  child.on('error', () => {}); // a signal that could not be sent; end() looks at the process itself
  child.stdin.on('error', () => {}); // EPIPE of an agent that is gone; its exit tells
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      killGroup(pid); // at once: later the number might be somebody else's
      resolve({ code, signal });
    });
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  // Readable even if the child has ended already: it stays a zombie until this turn of the loop is over.
  const identity = identify(pid);
  if (identity === undefined) throw new LonghaulError('internal_error', `process ${pid} has no entry in /proc`);
  void exited
    .then(() => sweepSpawn(spawnId))
    .then(
      () => stopListening(child.stdout),
      () => child.stdout.destroy(),
    );

  const endAll = async (): Promise<void> => {
    child.stdin.end();
    await Promise.race([exited, sleep(EOF_GRACE_MS)]);
    await endProcessGroup(identity);
    await sweepSpawn(spawnId);
  };
  const end = async (): Promise<void> => {
    // What /proc cannot be asked now (no file descriptors left) is ended by the next attempt's endTask.
    await endAll().catch(() => {});
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  };
  let ending: Promise<void> | undefined;
  const { stdin, stdout } = child;
  return { identity, stdin, stdout, exited, closed, stderrTail, end: () => (ending ??= end()) };
}
