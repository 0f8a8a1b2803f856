/**
 * One agent process with an owner: a process group of its own, no shell, an identity that is known at
 * once, stderr always drained, and an end that leaves nothing behind.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessIdentity } from '../../processes/identity.ts';
import type { Exit, StartedProgram } from '../../processes/program.ts';
import { startProgram } from '../../processes/runner.ts';
import { Family, FAMILY_ENDING_MS, FAMILY_MS } from '../../processes/sweep.ts';
import type { TaskId } from '../../contract/ids.ts';
import { decodeTail } from '../../contract/cut-text.ts';
import { LonghaulError } from '../../contract/errors.ts';
import type { AgentLaunch } from '../launch/launch.ts';
import { endProcessGroup } from '../../processes/end.ts';
import { requireProc, spawnMarkOf, sweepSpawn, TERM_GRACE_MS } from './end.ts';
import { agentEnvironment } from './environment.ts';
import { findCommand } from './find-command.ts';

const STDERR_KEPT_BYTES = 64 * 1024;
/** How long an agent may take to leave by itself once its stdin is closed. */
const EOF_GRACE_MS = 250;
/** After the agent's end: how long its stdout may stay open and silent before we stop listening. */
const SILENT_AFTER_EXIT_MS = 2_000;

export interface AgentProcess {
  readonly identity: ProcessIdentity;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exited: Promise<Exit>;
  /** The process is gone and its output has been read or given up. */
  readonly closed: Promise<void>;
  /** The last 64 KB. */
  stderrTail(): string;
  /** Before it is asked for what may have it end its tools: what those leave behind is known then. */
  noteFamily(): void;
  /** Ends the process, its group and everything marked. Never fails; a second call waits for the first. */
  end(): Promise<void>;
}

export interface SpawnAgent {
  readonly launch: AgentLaunch;
  readonly taskId: TaskId;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export function notInstalled(launch: AgentLaunch, detail: string): LonghaulError {
  const hint = launch.installHint ?? 'Install it, or correct install_path in available_agents.';
  return new LonghaulError('agent_not_installed', `The agent ${launch.name} cannot be started: ${detail}. ${hint}`);
}

/** Keeps the end of a stream. */
function keepTail(stream: Readable, bytes: number): () => string {
  let tail = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]);
    if (tail.length > bytes) tail = Buffer.from(tail.subarray(tail.length - bytes));
  });
  stream.on('error', () => {}); // a broken pipe of a process that is going
  return () => decodeTail(tail);
}

async function start({ launch, taskId, cwd, env }: SpawnAgent, spawnId: string): Promise<StartedProgram> {
  const environment = agentEnvironment({ env, launch, taskId, spawnId });
  const file = findCommand(launch.command, environment['PATH']);
  if (file === undefined) throw notInstalled(launch, `${launch.command} is not a program on this machine`);
  if (!existsSync(cwd)) {
    throw new LonghaulError('internal_error', `The agent ${launch.name} was to start in ${cwd}, which is not there.`);
  }
  const start = await startProgram({ file, args: launch.args, cwd, env: environment, mark: spawnMarkOf(spawnId) });
  if (start.kind === 'not_started') throw notInstalled(launch, start.message);
  return start.program;
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
  const { identity, stdin, stdout, stderr, exited, closed } = await start(options, spawnId);
  const stderrTail = keepTail(stderr, STDERR_KEPT_BYTES);
  // A tool without our marker is known as its descendant only.
  const family = new Family(identity);
  family.follow(FAMILY_MS);
  stdin.on('error', () => {}); // EPIPE of an agent that is gone; its exit tells
  let hasExited = false;
  const swept = exited.then(() => {
    hasExited = true;
    return sweepSpawn(spawnId);
  });
  void swept.then(
    () => stopListening(stdout),
    () => stdout.destroy(),
  );

  const endAll = async (): Promise<void> => {
    family.follow(FAMILY_ENDING_MS);
    stdin.end();
    await Promise.race([exited, sleep(EOF_GRACE_MS)]);
    await endProcessGroup(identity, TERM_GRACE_MS);
    const tree = family.stop();
    // Once is enough: with the agent gone and nothing marked left, nobody is there to start another.
    if (hasExited) await swept;
    if (!hasExited || tree.length > 0) await sweepSpawn(spawnId, tree);
  };
  const end = async (): Promise<void> => {
    // What /proc cannot be asked now (no file descriptors left) is ended by the next attempt's endTask.
    await endAll().catch(() => {});
    family.stop();
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  };
  let ending: Promise<void> | undefined;
  return {
    identity,
    stdin,
    stdout,
    exited,
    closed,
    stderrTail,
    noteFamily: () => family.look(),
    end: () => (ending ??= end()),
  };
}
