/**
 * The failed end of a program that the terminal adapter ran for an agent (agents/terminal/ends.ts). The exit code says only
 * that the program failed; its last output may give the reason.
 */
import type { RequestError } from '@agentclientprotocol/sdk/unstable';
import { tail } from '../../contract/cut-text.ts';
import { AUTH_REQUIRED, type Failure, type NamedAgent, promptFailure, providerFailure } from './failures.ts';
import { isObject } from './lines.ts';
import { cleanText } from './text.ts';

/** A task's summary has 500 characters. */
const OUTPUT_CHARS = 280;
const REASON_LINES = 3;

interface ProgramEnd {
  /** `exited with code 3`. */
  readonly how: string;
  readonly isSignal: boolean;
  readonly lastOutput: string;
}

/** Reads an error's data. Undefined: the error is not about the end of a program. */
function programEnd(data: unknown): ProgramEnd | undefined {
  if (!isObject(data) || typeof data['last_output'] !== 'string') return undefined;
  const { signal, exit_code: exitCode, last_output: lastOutput } = data;
  if (typeof signal === 'string') return { how: `was ended by ${cleanText(signal)}`, isSignal: true, lastOutput };
  return typeof exitCode === 'number'
    ? { how: `exited with code ${exitCode}`, isSignal: false, lastOutput }
    : undefined;
}

/** A limit, a missing login or an outage if the last lines of the output name one; otherwise the failure of the program. */
function programFailure(agent: NamedAgent, { how, isSignal, lastOutput }: ProgramEnd): Failure {
  const lines = cleanText(lastOutput)
    .split('\n')
    .filter((line) => /[\p{L}\p{N}]/u.test(line)); // no brackets of an object that was printed
  const reason = providerFailure(agent, tail(lines.slice(-REASON_LINES).join(' '), OUTPUT_CHARS), lastOutput);
  if (reason.code !== 'llm_error') return reason;
  const said = tail(lines.join(' '), OUTPUT_CHARS).trim();
  const output = said === '' ? 'It printed nothing.' : `Its last output: ${said}`;
  return { code: isSignal ? 'agent_crashed' : 'agent_failed', message: `${agent.name} ${how}. ${output}` };
}

/** The failure that an error answer to the prompt means. */
export function failedPrompt(agent: NamedAgent, error: RequestError): Failure {
  const end = error.code === AUTH_REQUIRED ? undefined : programEnd(error.data);
  return end ? programFailure(agent, end) : promptFailure(agent, error);
}
