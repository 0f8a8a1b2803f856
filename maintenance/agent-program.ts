/** Checks whether a file can be an agent's program, before a task needs it. */
import { randomUUID } from 'node:crypto';
import { accessSync, closeSync, constants, openSync, readSync, type Stats, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acpDriver } from '../agents/acp/driver.ts';
import { launchAcp } from '../agents/launch/acp.ts';
import type { AgentProfiles } from '../agents/profiles/profiles.ts';
import { findCommand } from '../agents/process/find-command.ts';
import { isErrno, LonghaulError, messageOf } from '../contract/errors.ts';
import type { TaskId } from '../contract/ids.ts';

/** The time that a program has to answer `initialize`. opencode takes up to 14 s if names cannot be resolved. */
const INITIALIZE_MS = 30_000;
/** The number of bytes of a script's first line that Linux reads. */
const FIRST_BYTES = 256;

/**
 * Returns what exists at the path instead of a program that the system can start, to complete the sentence "found …".
 * Returns undefined if the system can start the file.
 */
export function whyNoProgram(file: string, path: string | undefined): string | undefined {
  const status = statusOf(file);
  if (status === undefined) return 'none';
  if (status.isDirectory()) return 'a folder';
  if (!status.isFile()) return 'something that is no file';
  try {
    accessSync(file, constants.X_OK);
  } catch (error) {
    if (isErrno(error, 'EACCES')) return `a file that is not executable (\`chmod +x ${file}\`)`;
    throw error;
  }
  const start = firstBytes(file);
  return start === undefined ? undefined : whyNoScript(start, path);
}

/**
 * Returns the status of the file. Returns `undefined` if the path does not exist, for example because one of its
 * parents is a file.
 */
function statusOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Returns the first bytes of the file. Returns undefined if the file can be executed but not read. */
function firstBytes(file: string): Buffer | undefined {
  try {
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(FIRST_BYTES);
      return bytes.subarray(0, readSync(fd, bytes));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isErrno(error, 'EACCES')) return undefined;
    throw error;
  }
}

function whyNoScript(start: Buffer, path: string | undefined): string | undefined {
  const [first = ''] = start.toString('utf8').split('\n');
  if (!first.startsWith('#!')) {
    // A file with a NUL byte is a binary. It is accepted, because the system may have an interpreter for its kind
    // (binfmt_misc).
    return start.includes(0) ? undefined : 'a text file without a first line such as #!/bin/sh';
  }
  const [interpreter = '', ...words] = first.slice(2).trim().split(/\s+/);
  if (findCommand(interpreter, undefined) === undefined)
    return `a script whose interpreter ${JSON.stringify(interpreter)} is not a program on this machine`;
  const command = words.find((word) => !word.startsWith('-') && !word.includes('='));
  if (!interpreter.endsWith('/env') || command === undefined || findCommand(command, path) !== undefined)
    return undefined;
  return `a script whose interpreter ${JSON.stringify(command)} is not on PATH`;
}

/**
 * Starts the program, and ends it after it has answered `initialize`. Fails with `agent_protocol_error` if the program
 * does not speak ACP.
 */
export async function requireAcp(
  name: string,
  { program, env, profiles }: { program: string; env: NodeJS.ProcessEnv; profiles: AgentProfiles },
): Promise<void> {
  const cwd = await mkdtemp(join(tmpdir(), 'longhaul-agent-'));
  try {
    const agent = await acpDriver.open({
      launch: launchAcp({ path: 'acp', agent: { name, installPath: program }, env }, profiles),
      taskId: randomUUID() as string as TaskId,
      cwd,
      env,
      timeouts: { startMs: INITIALIZE_MS, stallMs: INITIALIZE_MS, toolMs: INITIALIZE_MS },
      signal: new AbortController().signal,
      onSpawn: async () => {},
      onEvent: () => {},
      onPermission: async () => ({ kind: 'cancelled' }),
    });
    await agent.close();
  } catch (error) {
    // The program speaks the protocol. A missing login is reported by the task that needs it.
    if (error instanceof LonghaulError && error.code === 'agent_needs_login') return;
    throw new LonghaulError(
      'agent_protocol_error',
      `${program} did not answer as a program that speaks the Agent Client Protocol. If it is a command-line agent, ` +
        `add it with --terminal. ${messageOf(error)}`,
      { cause: error },
    );
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
