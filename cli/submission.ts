/** Submits the task of `run` and `submit`, from the command's words and options. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { onlyAgent } from '../client/agents.ts';
import { resolveId } from '../client/short-ids.ts';
import { agentOfSession, submit, type SubmittedTask } from '../client/submit.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import { nativeChoice } from '../maintenance/agents.ts';
import { workerEnvironment } from '../maintenance/worker-environment.ts';
import type { SubmissionOptions } from './definitions/submission-options.ts';
import type { CommandContext } from './longhaul.ts';
import { unmarked } from './task-words.ts';
import { harmless } from './terminal.ts';

/**
 * Returns the agent that the user named, else the agent of the session, else the only listed agent. Undefined means the
 * native agent.
 */
async function agentFor(
  { longhaul: { sql }, services }: CommandContext,
  named: string | undefined,
  sessionId: string | undefined,
): Promise<string | undefined> {
  if (named !== undefined) return named === NATIVE_AGENT ? undefined : named;
  if (sessionId !== undefined) return agentOfSession(sql, sessionId);
  // Whether the native agent has a key depends on the environment of the worker, because the worker starts it.
  return onlyAgent(sql, nativeChoice((await workerEnvironment(services.settings)) ?? process.env));
}

/** Returns the text of a task from the words that a user typed. A single `-` means that the text is read from stdin. */
export async function inputFrom(typed: readonly string[]): Promise<string> {
  const words = typed.map(unmarked);
  const input = words.length === 1 && words[0] === '-' ? await readFile('/dev/stdin', 'utf8') : words.join(' ');
  if (input.trim() === '')
    throw new LonghaulError('invalid_input', 'The input is empty: expected the task for the agent.');
  return input;
}

/** Submits the task. Fails with `invalid_input` if the text is empty or options do not fit together. */
export async function submitFrom(
  context: CommandContext,
  typed: readonly string[],
  options: SubmissionOptions,
): Promise<SubmittedTask> {
  const input = await inputFrom(typed);
  const unused = options.askTimeout === undefined ? options.askDefault && '--ask-default' : '--ask-timeout';
  if (unused && options.policy !== 'ask') {
    const found = options.policy === undefined ? 'no --policy, which is allow' : `--policy ${options.policy}`;
    throw new LonghaulError('invalid_input', `${unused}: expected --policy ask with it, found ${found}.`);
  }
  // A session already has its project. If the user also names a path, `submit` checks that it is the same project.
  const projectPath = options.project ?? (options.session === undefined ? '.' : undefined);
  const { longhaul, services } = context;
  const { sql } = longhaul;
  // The session is resolved first, so that an unknown session is reported rather than a missing agent.
  const sessionId = options.session === undefined ? undefined : await resolveId(sql, 'session', options.session);
  const agent = await agentFor(context, options.agent, sessionId);
  const submitted = await submit(
    { sql, projectRoots: services.settings.projectRoots, temporal: longhaul.temporal },
    {
      input,
      ...(agent === undefined ? {} : { agent }),
      ...(projectPath === undefined ? {} : { projectPath: resolve(projectPath) }),
      ...(options.model === undefined ? {} : { model: options.model }),
      ...(options.mode === undefined ? {} : { modeId: options.mode }),
      ...(options.thinking === undefined ? {} : { thinkingOptionId: options.thinking }),
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(options.priority === undefined ? {} : { priority: options.priority }),
      ...(options.policy === undefined ? {} : { permissionPolicy: options.policy }),
      ...(options.rule === undefined ? {} : { rules: options.rule }),
      ...(options.askTimeout === undefined ? {} : { permissionTimeoutS: options.askTimeout }),
      ...(options.askDefault === undefined ? {} : { permissionDefault: options.askDefault }),
    },
  );
  if (submitted.note !== undefined) process.stderr.write(`note: ${harmless(submitted.note)}\n`);
  return submitted;
}
