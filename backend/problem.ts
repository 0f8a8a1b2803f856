/** Turns failures into HTTP responses: problem documents (RFC 9457) with our `error_code`. No other module does so. */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { serviceFailure } from '../client/outage.ts';
import { type ErrorCode, ERRORS, LonghaulError } from '../contract/errors.ts';
import { InvalidRequest } from './validation.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True if a request to this route that is sent a second time has no further effect. */
    readonly repeatable?: boolean;
  }
}

export const problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string().describe("HTTP's name of the status."),
    status: z.int(),
    detail: z.string().describe('For people: what was expected, what was found, what to do.'),
    error_code: z.string().describe('For programs: one of the codes of Longhaul.'),
    retryable: z.boolean().describe('The same request may succeed later.'),
    request_id: z.string().describe('Also in the header x-request-id, and in the log.'),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string() }))
      .optional()
      .describe('The invalid parts of the request.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;

/** The statuses of codes whose facts in contract/errors.ts do not determine them. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  invalid_input: 400,
  unauthorized: 401,
  host_refused: 403,
  project_not_found: 404,
  task_not_found: 404,
  session_not_found: 404,
  change_not_found: 404,
  change_decided: 409,
  change_conflict: 409,
  permission_not_found: 404,
  rule_not_found: 404,
  permission_answered: 409,
  agent_not_found: 404,
  recording_not_found: 404,
  route_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  idempotency_conflict: 409,
  task_open: 409,
  session_at_work: 409,
  task_not_queued: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  too_many_attempts: 429,
  headers_too_large: 431,
  internal_error: 500,
};

/**
 * Returns the HTTP status of an error code. If STATUS does not have the code, the status is 422 for a failure that the
 * caller must fix, 503 for any other failure that may disappear on its own, and otherwise 500.
 */
export function statusOf(code: ErrorCode): number {
  const { origin, retryable } = ERRORS[code];
  return STATUS[code] ?? (origin === 'caller' ? 422 : retryable ? 503 : 500);
}

export interface ProblemOptions {
  readonly errors?: Problem['errors'];
  /** The HTTP status, if the error code does not determine it. */
  readonly status?: number;
  /** The original error, for the log. */
  readonly cause?: unknown;
}

function problemOf(failure: LonghaulError, requestId: string, { status, errors }: ProblemOptions = {}): Problem {
  const { code, message } = failure;
  const answered = status ?? statusOf(code);
  return {
    type: 'about:blank',
    title: STATUS_CODES[answered] ?? 'Error',
    status: answered,
    detail: message,
    error_code: code,
    retryable: ERRORS[code].retryable,
    request_id: requestId,
    ...(errors ? { errors } : {}),
  };
}

/**
 * Logs the failure and sends it as a problem document. The error code determines the status, unless `options` has one.
 */
export function sendProblem(reply: FastifyReply, failure: LonghaulError, options: ProblemOptions = {}): FastifyReply {
  const { request } = reply;
  const body = problemOf(failure, request.id, options);
  logProblem(request.log, body, { req: request, ...(options.cause === undefined ? {} : { err: options.cause }) });
  return reply
    .code(body.status)
    .header('content-type', 'application/problem+json')
    .serializer((value: unknown) => JSON.stringify(value))
    .send(body);
}

/** The log that records each refusal under its request id. */
export type ProblemLog = Pick<FastifyBaseLogger, 'info' | 'warn' | 'error'>;

/**
 * Logs a refusal without the values of the request, because a value may be a secret that the caller put in the wrong
 * field.
 */
function logProblem(log: ProblemLog, problem: Problem, more: object): void {
  const { request_id, status, error_code, detail } = problem;
  const facts = { request_id, status, error_code, ...more };
  if (status < 500) log.info(facts, `refused: ${error_code}`);
  else log[status === 500 ? 'error' : 'warn'](facts, `${error_code}: ${detail}`);
}

/** Returns a complete HTTP response for a connection without a request. The connection is closed after it. */
export function problemMessage(
  failure: LonghaulError,
  log: ProblemLog,
  headers: Readonly<Record<string, string>> = {},
): string {
  const problem = problemOf(failure, randomUUID());
  logProblem(log, problem, {});
  const body = JSON.stringify(problem);
  const all = {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    date: new Date().toUTCString(),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': problem.request_id,
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${problem.status} ${problem.title}`, ...lines, '', body].join('\r\n');
}

/** Handles everything that a route throws. An unknown error is logged, and its message is not sent. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof InvalidRequest) return sendProblem(reply, ...invalid(error));
  // The client's connection broke while the body of the request was read. The error looks like a broken connection to
  // Postgres.
  const brokeOff = error !== null && error === request.raw.errored;
  const failure = brokeOff
    ? new LonghaulError('invalid_input', 'The connection broke before the body was complete.')
    : asLonghaulError(error);
  const status = statusOf(failure.code);
  const cause = status < 500 ? {} : { cause: error };
  const errors = failure.parts ? { errors: [...failure.parts] } : {};
  return sendProblem(reply, status === 503 ? perhapsDone(failure, request) : failure, { ...cause, ...errors });
}

/**
 * Adds to a 503 that the request may have been carried out, and what the caller should do before it sends the request
 * again.
 */
function perhapsDone(failure: LonghaulError, { method, headers, routeOptions }: FastifyRequest): LonghaulError {
  if ((method !== 'POST' && method !== 'DELETE') || failure.code === 'too_many_connections') return failure;
  const next = routeOptions.config.repeatable
    ? 'It may be sent again.'
    : headers['idempotency-key'] === undefined
      ? 'Look for its task (GET /api/tasks) before it is sent again, and give each task an Idempotency-Key.'
      : 'Send it again with the same Idempotency-Key.';
  const text = `${failure.message} The request may have been carried out nevertheless. ${next}`;
  return new LonghaulError(failure.code, text, { cause: failure });
}

function invalid({ parts, validationContext: where = 'request' }: InvalidRequest): [LonghaulError, ProblemOptions] {
  const [first] = parts;
  const at = first?.pointer ? ` at ${first.pointer}` : '';
  const failure = new LonghaulError('invalid_input', `${where}${at}: ${first?.detail ?? 'is not as expected'}`);
  return [failure, { errors: [...parts] }];
}

/** Our codes for the errors with which Fastify itself refuses a request. */
const REFUSALS: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
};

function asLonghaulError(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const outage = serviceFailure(error);
  if (outage) return outage;
  if (error instanceof Error && 'statusCode' in error && 'code' in error && typeof error.code === 'string') {
    if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
      return new LonghaulError('unsupported_media_type', 'Content-Type: expected application/json.');
    }
    if (Number(error.statusCode) < 500)
      return new LonghaulError(REFUSALS[error.code] ?? 'invalid_input', error.message);
  }
  return new LonghaulError(
    'internal_error',
    'A bug in Longhaul: the log of the backend has the error under the request id.',
  );
}
