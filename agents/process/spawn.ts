/**
 * Starts one agent process and owns it until its end. The process has its own process group and no shell, and its
 * identity is known at once. Its stderr is always read. After its end none of the processes that it started remains.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessIdentity } from '../../processes/identity.ts';
import type { Exit, StartedProgram } from '../../processes/program.ts';
import { startProgram } from '../../processes/runner.ts';
import { DescendantTracker, DESCENDANTS_END_CHECK_MS, DESCENDANTS_CHECK_MS } from '../../processes/sweep.ts';
import type { TaskId } from '../../contract/ids.ts';
import { decodeTail } from '../../contract/cut-text.ts';
import { LonghaulError } from '../../contract/errors.ts';
import type { AgentLaunch } from '../launch/launch.ts';
import { endProcessGroup } from '../../processes/end.ts';
import { requireProcFs, spawnMarkOf, sweepSpawn, TERM_GRACE_MS } from './end.ts';
import { agentEnvironment } from './environment.ts';
import { findCommand } from './find-command.ts';

const STDERR_KEPT_BYTES = 64 * 1024;
/** How long an agent may take to exit after its stdin was closed. */
const EOF_GRACE_MS = 250;
/** How long the agent's stdout may stay open and silent after the exit before the driver stops reading it. */
const SILENT_AFTER_EXIT_MS = 2_000;

export interface AgentProcess {
  readonly identity: ProcessIdentity;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly exited: Promise<Exit>;
  /** Resolves when the process has exited and its output was read to the end or closed. */
  readonly closed: Promise<void>;
  /** Returns the last 64 KB of stderr. */
  stderrTail(): string;
  /**
   * Records the agent's current descendants. Call it before a request that may make the agent end its tools, because
   * processes that a tool leaves are then still known.
   */
  recordDescendants(): void;
  /** Ends the process, its group and all processes with its marker. Never fails. A second call waits for the first. */
  end(): Promise<void>;
}

export interface SpawnAgent {
  readonly launch: AgentLaunch;
  readonly taskId: TaskId;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export function notInstalledError(launch: AgentLaunch, detail: string): LonghaulError {
  const hint = launch.installHint ?? 'Install it, or correct install_path in available_agents.';
  return new LonghaulError('agent_not_installed', `The agent ${launch.name} cannot be started: ${detail}. ${hint}`);
}

/** Reads a stream to its end and keeps its last `bytes` bytes. The returned function decodes them. */
function keepTail(stream: Readable, bytes: number): () => string {
  let tail = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]);
    if (tail.length > bytes) tail = Buffer.from(tail.subarray(tail.length - bytes));
  });
  stream.on('error', () => {}); // the pipe breaks when the process exits
  return () => decodeTail(tail);
}

async function start({ launch, taskId, cwd, env }: SpawnAgent, spawnId: string): Promise<StartedProgram> {
  const environment = agentEnvironment({ env, launch, taskId, spawnId });
  const file = findCommand(launch.command, environment['PATH']);
  if (file === undefined) throw notInstalledError(launch, `${launch.command} is not a program on this machine`);
  if (!existsSync(cwd)) {
    throw new LonghaulError(
      'internal_error',
      `The agent ${launch.name} cannot start: its working directory ${cwd} does not exist.`,
    );
  }
  const start = await startProgram({ file, args: launch.args, cwd, env: environment, mark: spawnMarkOf(spawnId) });
  if (start.kind === 'not_started') throw notInstalledError(launch, start.message);
  return start.program;
}

/**
 * Closes stdout after it was silent, because a process outside of the group and without a marker may hold stdout open
 * for ever.
 */
async function stopListening(stdout: Readable): Promise<void> {
  // Node reads ahead even without a consumer, so an empty buffer means an empty pipe.
  for (let silentMs = 0; silentMs < SILENT_AFTER_EXIT_MS; silentMs += 100) {
    if (stdout.readableEnded || stdout.destroyed) return;
    if (stdout.readableLength > 0) silentMs = 0;
    await sleep(100, undefined, { ref: false });
  }
  stdout.destroy();
}

/** Starts the agent. Fails with `agent_not_installed` if the program does not exist. */
export async function spawnAgent(options: SpawnAgent): Promise<AgentProcess> {
  requireProcFs();
  const spawnId = randomUUID();
  const { identity, stdin, stdout, stderr, exited, closed } = await start(options, spawnId);
  const stderrTail = keepTail(stderr, STDERR_KEPT_BYTES);
  // Descendants are tracked, because a tool whose environment lacks our marker can be found only as a descendant of the
  // agent.
  const family = new DescendantTracker(identity);
  family.follow(DESCENDANTS_CHECK_MS);
  stdin.on('error', () => {}); // EPIPE of an agent that has exited; its exit gives the reason
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
    family.follow(DESCENDANTS_END_CHECK_MS);
    stdin.end();
    await Promise.race([exited, sleep(EOF_GRACE_MS)]);
    await endProcessGroup(identity, TERM_GRACE_MS);
    const tree = family.stop();
    // One sweep is sufficient: once the agent and all marked processes have exited, no process can start another one.
    if (hasExited) await swept;
    if (!hasExited || tree.length > 0) await sweepSpawn(spawnId, tree);
  };
  const end = async (): Promise<void> => {
    // If /proc cannot be read now (no file descriptor is free), the `endTaskProcesses` of the next attempt ends the remaining
    // processes.
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
    recordDescendants: () => family.look(),
    end: () => (ending ??= end()),
  };
}
