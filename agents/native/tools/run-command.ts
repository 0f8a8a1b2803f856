/**
 * The tool `run`: a shell command in a process group of its own, with limited output. The whole group is ended after a
 * stop, after the timeout, and when the shell has exited. The command inherits the environment, so that its processes
 * carry the task's marker, but without the keys of model providers.
 */
import { spawn } from 'node:child_process';
import { z } from 'zod';
import { head, tail } from '../../../contract/cut-text.ts';
import { signalGroup } from '../../../processes/end.ts';
import { KEY_VARIABLES } from '../providers.ts';
import type { Tool, ToolOutput } from './tool.ts';

const DEFAULT_TIMEOUT_S = 600;
const MAX_TIMEOUT_S = 3_600;
/** Time between SIGTERM and SIGKILL, in which git removes its lock files. */
const STOP_MS = 500;
/** How long other processes of the command may write output after the shell has exited. */
const AFTER_EXIT_MS = 500;
const HEAD_CHARS = 8_000;
const TAIL_CHARS = 20_000;
const SHOWN_CHARS = 8_000;

/** Keeps the beginning and the end of a long output, and omits the middle. */
export class LimitedOutput {
  #head = '';
  #tail = '';
  #left = 0;

  add(text: string): void {
    const room = head(text, HEAD_CHARS - this.#head.length);
    this.#head += room;
    const rest = this.#tail + text.slice(room.length);
    this.#tail = tail(rest, TAIL_CHARS);
    this.#left += rest.length - this.#tail.length;
  }

  get text(): string {
    return this.#left === 0
      ? this.#head + this.#tail
      : `${this.#head}\n[${this.#left} characters are left out]\n${this.#tail}`;
  }

  get end(): string {
    return tail(this.#head + this.#tail, SHOWN_CHARS);
  }
}

function environment(inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const env = { ...inherited };
  for (const name of KEY_VARIABLES) delete env[name];
  return { ...env, GIT_PAGER: 'cat', PAGER: 'cat', GIT_TERMINAL_PROMPT: '0', CI: env['CI'] ?? '1' };
}

export const runCommand: Tool<{ command: string; timeout_s?: number | undefined }> = {
  name: 'run',
  kind: 'execute',
  description:
    'Runs a shell command (/bin/sh) in the working directory and returns its output and exit code. It has no terminal and no input. Processes that it leaves behind are ended.',
  input: z.object({
    command: z.string().min(1),
    timeout_s: z.number().int().min(1).max(MAX_TIMEOUT_S).optional().describe(`Default: ${DEFAULT_TIMEOUT_S}.`),
  }),
  changes: true,
  show: ({ command }) => ({ title: `Run ${command}`, paths: [] }),
  run: ({ command, timeout_s: timeoutS = DEFAULT_TIMEOUT_S }, { cwd, env, signal, onOutput }) =>
    runGroup({ command, timeoutMs: timeoutS * 1_000, cwd, env, signal, onOutput }),
};

interface GroupRun {
  readonly command: string;
  readonly timeoutMs: number;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onOutput: (text: string) => void;
}

async function runGroup({ command, timeoutMs, cwd, env, signal, onOutput }: GroupRun): Promise<ToolOutput> {
  const child = spawn('/bin/sh', ['-c', command], {
    cwd,
    detached: true,
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const send = (name: NodeJS.Signals): void => {
    if (child.pid !== undefined) signalGroup(child.pid, name);
  };
  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    send('SIGTERM');
    killer ??= setTimeout(() => send('SIGKILL'), STOP_MS);
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, timeoutMs);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  let afterExit: NodeJS.Timeout | undefined;
  const output = new LimitedOutput();
  const take = (text: string): void => {
    output.add(text);
    onOutput(output.end);
  };
  // Each stream has its own decoder, because a character may arrive in two chunks.
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const end = await new Promise<string>((resolve) => {
    let how = 'exit code unknown';
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
    child.once('exit', (code, killedBy) => {
      how = killedBy === null ? `exit code ${code}` : `ended by ${killedBy}`;
      // A background process may hold the pipe open, so the group gets SIGTERM, and SIGKILL after a time in which its
      // last output is read.
      send('SIGTERM');
      afterExit = setTimeout(() => {
        send('SIGKILL');
        for (const stream of [child.stdout, child.stderr]) stream.destroy();
      }, AFTER_EXIT_MS);
    });
    child.once('close', () => resolve(how));
  });
  for (const one of [timer, killer, afterExit]) clearTimeout(one);
  signal.removeEventListener('abort', stop);
  send('SIGKILL');
  const why = timedOut ? `ended after ${timeoutMs / 1_000} s, its timeout` : end;
  return { ok: end === 'exit code 0' && !timedOut, text: `${output.text}\n(${why})` };
}
