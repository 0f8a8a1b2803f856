/** What an agent's error answers and endings mean in our words. The agent's own words stay in the message. */
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import { LonghaulError, type ErrorCode } from '../../workflows/errors.ts';
import type { AgentProfile } from '../catalog.ts';
import type { Exit } from '../process/spawn.ts';
import type { Garbage } from './lines.ts';
import { isObject } from './lines.ts';
import { cleanText, head, lastLines } from './text.ts';

const AUTH_REQUIRED = -32000;
const WORDS_LIMIT = 600;

const LOGIN_WORDS =
  /authentication required|not (logged|signed) in|please (log|sign) ?in|log ?in (again|first)|unauthori[sz]ed|(invalid|missing|incorrect|no) api[ _]key|api[ _]key (is )?(missing|required|not)|\b401\b/i;
const LIMIT_WORDS =
  /usage limit|rate.?limit|too many requests|quota|insufficient.?(quota|funds|credits?)|credit balance|billing|\b429\b|\b402\b/i;

export type NamedAgent = Pick<AgentProfile, 'name' | 'loginHint'>;

/** Some agents pass on a provider's answer as it came: JSON. Its message is what a person can read. */
function unwrapped(words: string): string {
  const text = words.trim();
  if (!text.startsWith('{')) return text;
  try {
    const value: unknown = JSON.parse(text);
    const error = isObject(value) && isObject(value['error']) ? value['error'] : value;
    if (!isObject(error) || typeof error['message'] !== 'string') return text;
    const { code } = error;
    return typeof code === 'string' || typeof code === 'number' ? `${error['message']} (${code})` : error['message'];
  } catch {
    return text; // not JSON after all
  }
}

/** The agent's own words: the error's message and what its data adds. */
export function agentWords(error: unknown): string {
  if (!(error instanceof RequestError)) return error instanceof Error ? error.message : String(error);
  const { data } = error;
  // Without one of these an object is the agent's own bookkeeping.
  const inner = isObject(data) ? (data['details'] ?? data['message'] ?? data['error']) : data;
  const detail = inner === undefined || inner === null ? '' : typeof inner === 'string' ? inner : JSON.stringify(inner);
  const said = unwrapped(error.message.replace(/^Internal error: (?=.)/, ''));
  const words = detail === '' || detail === '{}' || error.message.includes(detail) ? '' : `: ${unwrapped(detail)}`;
  return head(cleanText(said + words), WORDS_LIMIT);
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What an error answer to the prompt means. */
export function promptFailure(agent: NamedAgent, error: RequestError): Failure {
  const words = agentWords(error);
  if (error.code === AUTH_REQUIRED && !LIMIT_WORDS.test(words)) return needsLogin(agent, words);
  return providerFailure(agent, words);
}

/** What the agent's words about its provider mean. */
export function providerFailure({ name, loginHint }: NamedAgent, said: string): Failure {
  const words = unwrapped(said);
  if (LIMIT_WORDS.test(words)) {
    return { code: 'usage_limit', message: `${name} has reached a limit of its provider: ${words}` };
  }
  if (LOGIN_WORDS.test(words)) return needsLogin({ name, loginHint }, words);
  return { code: 'llm_error', message: `${name} could not do the turn: ${words || 'it did not say why'}` };
}

export function needsLogin({ name, loginHint }: NamedAgent, words: string, methods: readonly string[] = []): Failure {
  const ways = methods.length === 0 ? '' : ` It offers: ${methods.join(', ')}.`;
  const hint = loginHint === undefined ? '' : ` ${loginHint}`;
  const message = `${name} needs a login on this machine: ${words.replace(/\.$/, '')}.${ways}${hint}`;
  return { code: 'agent_needs_login', message };
}

/** What an error answer to initialize or session/new means. */
export function startFailure(agent: NamedAgent, error: RequestError, methods: readonly string[]): LonghaulError {
  const words = agentWords(error);
  const { code, message } =
    error.code === AUTH_REQUIRED || LOGIN_WORDS.test(words)
      ? needsLogin(agent, words, methods)
      : { code: 'agent_protocol_error' as const, message: `${agent.name} could not start a session: ${words}` };
  return new LonghaulError(code, message, { cause: error });
}

/** What the agent said outside the protocol, for a message; empty if nothing. */
export function saidBesides(stderr: string, garbage: Garbage): string {
  const said = lastLines(stderr) || lastLines(garbage.lines.join('\n'));
  return said === '' ? '' : ` It said: ${said}`;
}

export function crashed(agent: string, exit: Exit | undefined, said: string): LonghaulError {
  const how =
    exit === undefined
      ? 'closed its output but went on running'
      : exit.signal === null
        ? `ended with exit code ${exit.code}`
        : `was ended by ${exit.signal}`;
  return new LonghaulError('agent_crashed', `${agent} ${how} before its turn was over.${said}`);
}
