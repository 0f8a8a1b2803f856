/**
 * Describes the failure of a model call by a sentence and by a kind, which determines whether the call may be repeated.
 */
import { APICallError } from '@ai-sdk/provider';
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import { head } from '../../contract/cut-text.ts';
import { resetTime } from '../reset-time.ts';

const AUTH_REQUIRED = -32000;
const WORDS_LIMIT = 400;
const OVERFLOW =
  /context.?(length|window|size)|maximum context|prompt is too long|too many (input )?tokens|input token count .* exceeds|exceeds? the (available|model'?s?) (context|maximum)|request too large/i;

export type FailureKind =
  /** A repetition after a short pause may succeed. */
  | 'transient'
  /** The model returned neither text nor a tool call. A repetition may succeed. */
  | 'empty'
  | 'limit'
  | 'login'
  | 'overflow'
  | 'final';

export class ModelFailure extends Error {
  readonly kind: FailureKind;
  /**
   * The provider's whole answer with its headers, because the answer may contain the time at which a limit is lifted.
   */
  readonly said: string;
  constructor(kind: FailureKind, message: string, said = message) {
    super(message);
    this.kind = kind;
    this.said = said;
  }
}

type Json = Readonly<Record<string, unknown>>;
const string = (value: unknown): string => (typeof value === 'string' ? value : '');
const object = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

/** Returns the provider's own sentence from the forms in which providers wrap it. */
function words(error: unknown): string {
  const inner = object(object(error)['error']);
  const message = inner['message'] ?? object(error)['message'] ?? error;
  return typeof message === 'string' ? message : (JSON.stringify(message) ?? '');
}

/** Converts an error that the AI SDK threw, or that was a part of the stream. */
export function modelFailure(error: unknown, model: string): ModelFailure {
  if (error instanceof ModelFailure) return error;
  if (!APICallError.isInstance(error)) return streamFailure(error, model);
  const { statusCode: status, responseBody = '', responseHeaders = {} } = error;
  const said = `${error.message} ${responseBody} ${JSON.stringify(responseHeaders)}`;
  const sentence = (what: string): string => `${model}: ${what}: ${head(error.message || responseBody, WORDS_LIMIT)}`;
  if (status === undefined) {
    const cause = object(error.cause);
    const code = string(cause['code'] ?? object(cause['cause'])['code']);
    return new ModelFailure('transient', `${sentence('the connection failed')} ${code} (${error.url})`.trim(), said);
  }
  if (status === 401 || status === 403)
    return new ModelFailure('login', sentence(`the provider answered ${status}`), said);
  if (status === 429 || status === 402) return new ModelFailure('limit', sentence(`the provider answered ${status} (usage limit)`), said); // prettier-ignore
  if (status === 413 || OVERFLOW.test(`${error.message} ${responseBody}`)) {
    return new ModelFailure('overflow', sentence('the conversation is longer than the context of the model'), said);
  }
  const isTransient = status >= 500 || status === 408 || status === 409;
  return new ModelFailure(isTransient ? 'transient' : 'final', sentence(`the provider answered ${status}`), said);
}

/** Converts an error during a stream: a part of kind `error`, or a lost connection. */
function streamFailure(error: unknown, model: string): ModelFailure {
  const type = string(object(object(error)['error'])['type'] ?? object(error)['type']);
  const text = head(words(error), WORDS_LIMIT);
  const said = `${text} ${error instanceof Error ? '' : (JSON.stringify(error) ?? '')}`;
  if (/rate_limit|quota|resource_exhausted/i.test(`${type} ${text}`)) {
    return new ModelFailure('limit', `${model}: the provider ended the stream (usage limit): ${text}`, said);
  }
  if (OVERFLOW.test(text)) return new ModelFailure('overflow', `${model}: ${text}`, said);
  const isTransient =
    error instanceof Error || /overloaded|server|api_error|unavailable|timeout/i.test(`${type} ${text}`);
  return new ModelFailure(isTransient ? 'transient' : 'final', `${model}: the stream broke off: ${text}`, said);
}

/**
 * Returns whether the provider reports when its limit is lifted. In that case the agent does not repeat the call. The
 * client waits until that time, and no agent process runs meanwhile.
 */
export function hasResetTime({ said }: ModelFailure): boolean {
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return resetTime({ text: said, now: new Date(), zone }) !== undefined;
}

/** Converts the failure to an error answer of ACP. The client reads the reset time from `data`. */
export function requestError(failure: ModelFailure): RequestError {
  const data = { details: failure.message, said: head(failure.said, 4_000) };
  switch (failure.kind) {
    case 'login':
      return new RequestError(AUTH_REQUIRED, `${failure.message}. Check the provider's key.`, data);
    case 'limit':
      return new RequestError(-32603, failure.message, data);
    case 'overflow':
      return new RequestError(
        -32603,
        `${failure.message}. Begin a new session, or name a model with a larger context.`,
        data,
      );
    case 'transient':
      return new RequestError(-32603, `${failure.message} (service unavailable)`, data);
    case 'empty':
    case 'final':
      return new RequestError(-32603, `Inference failed: ${failure.message}`, data);
  }
}
