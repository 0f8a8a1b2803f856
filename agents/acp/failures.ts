/** Maps error answers and exits of agents to failures. The message contains the agent's own words. */
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import { LonghaulError, type ErrorCode, messageOf } from '../../contract/errors.ts';
import { head } from '../../contract/cut-text.ts';
import type { AgentLaunch } from '../launch/launch.ts';
import type { OpenAgent } from '../driver.ts';
import { resetTime } from '../reset-time.ts';
import type { Exit } from '../../processes/program.ts';
import type { Garbage } from './lines.ts';
import { isObject } from './lines.ts';
import { cleanText, lastLines } from './text.ts';

export const AUTH_REQUIRED = -32000;
/**
 * Limit of the agent's own text in a message, in characters. A task's summary holds 500 characters, and the advice
 * follows that text.
 */
const WORDS_LIMIT = 280;
const NOTHING_SAID = 'it gave no reason.';

const LOGIN_WORDS =
  /authentication (required|error)|authenticationerror|no auth type is selected|not (logged|signed) in|please (log|sign) ?in|log ?in (again|first)|unauthori[sz]ed|(invalid|missing|incorrect|no) api[ _]key|api[ _]key (is )?(missing|required|not)|\b401\b/i;
const LIMIT_WORDS =
  /usage limit|hit your (\w+ )?limit|(hour|session|daily|weekly|monthly|opus|sonnet) limit reached|limit will reset|exhausted your capacity|rate.?limit|too many requests|quota|insufficient.?(quota|funds|credits?)|credit balance|billing|\b429\b|\b402\b/i;
/** Matches a text that says that the provider is unavailable or overloaded, so that a later request may succeed. */
const OUTAGE_WORDS =
  /\b(ECONN(RESET|REFUSED|ABORTED)|E(TIMEDOUT|NETUNREACH|HOSTUNREACH|PIPE|NOTFOUND|AI_AGAIN)|UND_ERR_\w+)\b|socket hang up|fetch failed|network error|connection (error|reset|refused|closed|lost|timed out)|stream (disconnected|closed)|overloaded|service unavailable|internal server error|bad gateway|gateway time-?out|\b(500|502|503|504|529)\b/i;

export type NamedAgent = Pick<AgentLaunch, 'name' | 'loginHint' | 'loginLack'>;

/**
 * Returns the message of a provider's answer in JSON, which some agents pass on unchanged. Other text is returned as it
 * is.
 */
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
    return text; // the text looks like JSON but cannot be parsed
  }
}

/** Cuts the text to the limit, and adds a full stop unless it is empty or ends with a punctuation mark. */
const sentence = (words: string): string => {
  const text = head(words.trim(), WORDS_LIMIT);
  return text === '' || /[.!?…]$/.test(text) ? text : `${text}.`;
};

/** Returns the agent's own words: the message of the error and the details in its data. */
export function agentErrorText(error: unknown): string {
  if (!(error instanceof RequestError)) return messageOf(error);
  const { data } = error;
  // An object without any of these fields contains no text for a person.
  const inner = isObject(data) ? (data['details'] ?? data['message'] ?? data['error']) : data;
  const detail = inner === undefined || inner === null ? '' : typeof inner === 'string' ? inner : JSON.stringify(inner);
  const said = unwrapped(error.message.replace(/^Internal error: (?=.)/, ''));
  const words = detail === '' || detail === '{}' || error.message.includes(detail) ? '' : `: ${unwrapped(detail)}`;
  return head(cleanText(said + words), WORDS_LIMIT);
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  /** The time at which the provider lifts its usage limit, if the agent reports that time. */
  readonly resetsAt?: Date;
}

/** Returns the failure for an error answer to session/prompt. */
export function promptFailure(agent: NamedAgent, error: RequestError): Failure {
  const words = agentErrorText(error);
  if (error.code === AUTH_REQUIRED && !LIMIT_WORDS.test(words)) return loginFailure(agent, words);
  const { message, data } = error;
  // The text that says when the limit is lifted may be in a field that `agentErrorText` omits, or in text that it cuts.
  const all = `${message} ${typeof data === 'string' ? data : (JSON.stringify(data) ?? '')}`;
  return providerFailure(agent, words, all);
}

/**
 * Returns the failure for a provider's error in the agent's words. `all` is the whole text from which the words were
 * taken.
 */
export function providerFailure(agent: NamedAgent, said: string, all = said): Failure {
  const { name } = agent;
  const words = sentence(unwrapped(said));
  if (LIMIT_WORDS.test(words)) {
    const advice = 'Wait until the limit is lifted, or name another model or agent.';
    const message = `${name} has reached a limit of its model's provider: ${words} ${advice}`;
    const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    const resetsAt = resetTime({ text: all, now: new Date(), zone });
    return { code: 'usage_limit', message, ...(resetsAt && { resetsAt }) };
  }
  if (LOGIN_WORDS.test(words)) return loginFailure(agent, words);
  if (OUTAGE_WORDS.test(words)) {
    const message = `${name} could not continue: its model's provider is unavailable: ${words} If this persists, submit the task again later.`;
    return { code: 'llm_unavailable', message };
  }
  const advice = 'If it looks like an outage, submit the task again later; otherwise check the model and the settings.';
  const message = `${name} could not continue: its model's provider returned an error: ${words || NOTHING_SAID} ${advice}`;
  return { code: 'llm_error', message };
}

/**
 * Returns the failure of an agent that requires a login. `methods` are the names of the login methods that the agent
 * offers.
 */
export function loginFailure(agent: NamedAgent, words: string, methods: readonly string[] = []): Failure {
  const { name, loginHint, loginLack = 'needs a login on this machine' } = agent;
  const ways = methods.length === 0 ? '' : ` It offers: ${methods.join(', ')}.`;
  const hint = loginHint ?? 'Start it by hand and log in there, as the user that Longhaul runs as.';
  const message = `${name} ${loginLack}: ${sentence(words) || NOTHING_SAID}${ways} ${hint}`;
  return { code: 'agent_needs_login', message };
}

/** Returns the failure for an error answer to initialize or session/new. */
export function startFailure(agent: NamedAgent, error: RequestError, methods: readonly string[]): LonghaulError {
  const words = agentErrorText(error);
  const { code, message } =
    error.code === AUTH_REQUIRED || LOGIN_WORDS.test(words)
      ? loginFailure(agent, words, methods)
      : {
          code: 'agent_protocol_error' as const,
          message: `${agent.name} could not start a session: ${sentence(words) || NOTHING_SAID} Check the configuration of the agent.`,
        };
  return new LonghaulError(code, message, { cause: error });
}

/**
 * Returns what the agent printed outside the protocol, as a sentence for a message, or an empty text if it printed
 * nothing.
 */
export function outputOutsideProtocol(stderr: string, garbage: Garbage): string {
  const said = lastLines(stderr) || lastLines(garbage.lines.join('\n'));
  return said === '' ? '' : ` It said: ${said}`;
}

function howItEnded(exit: Exit | undefined): string {
  if (exit === undefined) return 'closed its output and kept running';
  if (exit.runnerLost) {
    return 'was ended because the runner, the process of Longhaul that starts programs, was killed (out of memory, perhaps)';
  }
  if (exit.signal === null) return `exited with code ${exit.code}`;
  const guess = exit.signal === 'SIGKILL' ? ' (out of memory, perhaps)' : '';
  return `was ended by ${exit.signal}${guess}`;
}

/**
 * Returns the advice to start the program by hand. If the launch has a `program`, `command` is a program of ours that
 * speaks ACP for it, so the advice names `program`.
 */
function checkByHand({ program, command, args, installHint }: AgentLaunch): string {
  if (program !== undefined) return `Check that \`${program}\` starts by hand`;
  // Only agents of the catalogue have an install hint. These agents are known to speak ACP, so they need no hint about
  // `--terminal`.
  const other =
    installHint === undefined ? ' (a command-line agent is added with `longhaul agents add --terminal`)' : '';
  return `Check that \`${[command, ...args].join(' ')}\` starts by hand and speaks ACP${other}`;
}

/** Returns the failure of an agent whose output ended. `started` is true if the agent had a session. */
export function crashError(
  launch: AgentLaunch,
  { exit, said, started }: { readonly exit: Exit | undefined; readonly said: string; readonly started: boolean },
): LonghaulError {
  const { name } = launch;
  const how = howItEnded(exit);
  if (started) {
    const message = `${name} ${how} during its turn. Its edits until then are kept.${said}`;
    return new LonghaulError('agent_crashed', message);
  }
  if (LOGIN_WORDS.test(said)) {
    const { code, message } = loginFailure(launch, `it ${how} at its start.${said}`);
    return new LonghaulError(code, message);
  }
  const message = `${name} ${how} before it had a session. ${checkByHand(launch)}.${said}`;
  return new LonghaulError('agent_crashed', message);
}

export function startTimeoutError({ launch, timeouts }: OpenAgent, method: string, said: string): LonghaulError {
  const seconds = Math.round(timeouts.startMs / 1_000);
  const message =
    `${launch.name} was not ready within ${seconds} s: it did not answer ${method}. ${checkByHand(launch)}; ` +
    `if it is only slow, increase LONGHAUL_AGENT_START_TIMEOUT.${said}`;
  return new LonghaulError('agent_start_timeout', message);
}

/** An agent's silence that exceeded the stall timeout or the tool timeout. */
export interface Silence {
  readonly silentMs: number;
  /** Title of the tool call that was open, if any. */
  readonly tool: string | undefined;
  readonly said: string;
}

export function stallError(name: string, { silentMs, tool, said }: Silence): LonghaulError {
  const seconds = Math.round(silentMs / 1_000);
  const message =
    tool === undefined
      ? `${name} sent nothing for ${seconds} s during its turn. Its model may be unreachable; ` +
        `if it is only slow, increase LONGHAUL_AGENT_STALL_TIMEOUT.${said}`
      : `${name} sent nothing for ${seconds} s while its tool "${head(tool, 100)}" was running. ` +
        `If the tool may take that long, increase LONGHAUL_AGENT_TOOL_TIMEOUT.${said}`;
  return new LonghaulError('agent_stalled', message);
}
