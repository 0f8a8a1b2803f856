/**
 * Explains the failed end of a program that the terminal adapter ran for an agent (agents/terminal/ends.ts). The exit
 * code shows only that the program failed; its last output may give the reason.
 */
import type { RequestError } from '@agentclientprotocol/sdk/unstable';
import { tail } from '../../contract/cut-text.ts';
import { AUTH_REQUIRED, type Failure, type NamedAgent, promptFailure, providerFailure } from './failures.ts';
import { isObject } from './lines.ts';
import { cleanText } from './text.ts';

/** A task's summary holds 500 characters, and the agent's name and the exit code precede the output. */
const OUTPUT_CHARS = 280;
const REASON_LINES = 3;

interface ProgramEnd {
  /** How the program ended, for example `exited with code 3`. */
  readonly how: string;
  readonly isSignal: boolean;
  readonly lastOutput: string;
}

/** Reads the data of an error. Returns `undefined` if the error is not about the end of a program. */
function programEnd(data: unknown): ProgramEnd | undefined {
  if (!isObject(data) || typeof data['last_output'] !== 'string') return undefined;
  const { signal, exit_code: exitCode, last_output: lastOutput } = data;
  if (typeof signal === 'string') return { how: `was ended by ${cleanText(signal)}`, isSignal: true, lastOutput };
  return typeof exitCode === 'number'
    ? { how: `exited with code ${exitCode}`, isSignal: false, lastOutput }
    : undefined;
}

/**
 * Returns the failure for a limit, a missing login or an outage if the last lines of the output name one of them;
 * otherwise the failure of the program itself.
 */
function programFailure(agent: NamedAgent, { how, isSignal, lastOutput }: ProgramEnd): Failure {
  const lines = cleanText(lastOutput)
    .split('\n')
    .filter((line) => /[\p{L}\p{N}]/u.test(line)); // omits lines without a letter or digit, such as the brackets of a printed object
  const reason = providerFailure(agent, tail(lines.slice(-REASON_LINES).join(' '), OUTPUT_CHARS), lastOutput);
  if (reason.code !== 'llm_error') return reason;
  const said = tail(lines.join(' '), OUTPUT_CHARS).trim();
  const output = said === '' ? 'It printed nothing.' : `Its last output: ${said}`;
  return { code: isSignal ? 'agent_crashed' : 'agent_failed', message: `${agent.name} ${how}. ${output}` };
}

/** Returns the failure for an error answer to session/prompt. */
export function failedPrompt(agent: NamedAgent, error: RequestError): Failure {
  const end = error.code === AUTH_REQUIRED ? undefined : programEnd(error.data);
  return end ? programFailure(agent, end) : promptFailure(agent, error);
}
