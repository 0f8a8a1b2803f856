/** The options of `run` and `submit`, and the task that they submit. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { NATIVE, onlyAgent } from '../client/agents.ts';
import { resolveId } from '../client/short-ids.ts';
import { agentOfSession, submit, type SubmittedTask } from '../client/submit.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { CommandContext } from './longhaul.ts';
import { unmarked } from './task-words.ts';

export interface SubmissionOptions {
  readonly project?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly mode?: string;
  readonly thinking?: string;
  readonly session?: string;
  readonly priority?: number;
  readonly policy?: string;
  readonly askTimeout?: number;
  readonly askDefault?: string;
  readonly json?: boolean;
}

export function addSubmissionOptions(command: Command): Command {
  return command
    .argument('<input...>', "the task for the agent; - reads it from stdin; put -- before a text like '-x'")
    .option('--project <path>', 'a folder in the git repository (default: the current one)', notEmpty)
    .option(
      '--agent <name>',
      'one of available_agents or native, which asks a model itself (default: that of the session, else the only one besides demo)',
      notEmpty,
    )
    .option('--model <id>', "one of the agent's models", notEmpty)
    .option('--mode <id>', "one of the agent's modes", notEmpty)
    .option('--thinking <id>', "one of the agent's thinking options", notEmpty)
    .option('--session <session>', 'continue this session, after its queued tasks; id, or the beginning of one')
    .option('--priority <1-5>', '1 starts first (default: 3)', priorityNumber)
    .addOption(
      new Option(
        '--policy <policy>',
        'what answers when the agent asks for a permission; ask: a person does (default: allow)',
      ).choices(['allow', 'deny', 'ask']),
    )
    .option('--ask-timeout <seconds>', 'how long a request waits for a person (default: without limit)', numberFromOne)
    .addOption(
      new Option('--ask-default <answer>', 'what answers a request after that time (default: deny)').choices([
        'allow',
        'deny',
      ]),
    );
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`expected a whole number, found ${JSON.stringify(text)}.`);
  return Number(text);
}

export function numberFromOne(text: string): number {
  const count = wholeNumber(text);
  if (count < 1) throw new InvalidArgumentError('expected a number from 1, found 0.');
  return count;
}

export function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('expected a value, found an empty text.');
  return text;
}

function priorityNumber(text: string): number {
  if (!/^[1-5]$/.test(text)) {
    throw new InvalidArgumentError(`expected a whole number from 1 (first) to 5, found ${JSON.stringify(text)}.`);
  }
  return Number(text);
}

/** Undefined: the native agent. */
async function agentFor(
  sql: CommandContext['longhaul']['sql'],
  named: string | undefined,
  sessionId: string | undefined,
): Promise<string | undefined> {
  if (named !== undefined) return named === NATIVE ? undefined : named;
  if (sessionId !== undefined) return agentOfSession(sql, sessionId);
  return onlyAgent(sql, Boolean(process.env['DEFAULT_MODEL']));
}

export async function submitFrom(
  { longhaul, services }: CommandContext,
  typed: readonly string[],
  options: SubmissionOptions,
): Promise<SubmittedTask> {
  const words = typed.map(unmarked);
  const input = words.length === 1 && words[0] === '-' ? await readFile('/dev/stdin', 'utf8') : words.join(' ');
  if (input.trim() === '')
    throw new LonghaulError('invalid_input', 'The input is empty: expected the task for the agent.');
  // A session has its project; a path that is given is checked against it.
  const projectPath = options.project ?? (options.session === undefined ? '.' : undefined);
  const { sql } = longhaul;
  // First: for a session that does not exist, a missing agent must not be reported.
  const sessionId = options.session === undefined ? undefined : await resolveId(sql, 'session', options.session);
  const agent = await agentFor(sql, options.agent, sessionId);
  return submit(
    { sql, projectRoots: services.settings.projectRoots },
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
      ...(options.askTimeout === undefined ? {} : { permissionTimeoutS: options.askTimeout }),
      ...(options.askDefault === undefined ? {} : { permissionDefault: options.askDefault }),
    },
  );
}
