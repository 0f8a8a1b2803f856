/**
 * The one list of failures that Longhaul can name. A code is at once the Temporal failure type, the
 * `tasks.error_code` of a row and the API's `error_code`. Nobody parses messages.
 *
 * This file is loaded inside the workflow sandbox: no Node built-ins, no imports.
 */
export interface ErrorFacts {
  /** Who can do something about it. */
  readonly origin: 'caller' | 'host' | 'agent' | 'provider' | 'operator';
  /** May succeed later with nothing changed. */
  readonly retryable: boolean;
  /** Whether the failed step may have had an effect. `unknown` is never retried blindly. */
  readonly effect: 'none' | 'unknown';
}

export const ERRORS = {
  invalid_input: { origin: 'caller', retryable: false, effect: 'none' },
  project_not_found: { origin: 'caller', retryable: false, effect: 'none' },
  task_not_found: { origin: 'caller', retryable: false, effect: 'none' },
  session_not_found: { origin: 'caller', retryable: false, effect: 'none' },
  change_not_found: { origin: 'caller', retryable: false, effect: 'none' },
  route_not_found: { origin: 'caller', retryable: false, effect: 'none' },
  method_not_allowed: { origin: 'caller', retryable: false, effect: 'none' },
  request_timeout: { origin: 'caller', retryable: true, effect: 'none' },
  headers_too_large: { origin: 'caller', retryable: false, effect: 'none' },
  body_too_large: { origin: 'caller', retryable: false, effect: 'none' },
  unsupported_media_type: { origin: 'caller', retryable: false, effect: 'none' },
  idempotency_conflict: { origin: 'caller', retryable: false, effect: 'none' },
  unauthorized: { origin: 'caller', retryable: false, effect: 'none' },
  host_refused: { origin: 'caller', retryable: false, effect: 'none' },
  too_many_connections: { origin: 'host', retryable: true, effect: 'none' },
  too_many_attempts: { origin: 'caller', retryable: true, effect: 'none' },
  project_has_no_path: { origin: 'caller', retryable: false, effect: 'none' },
  project_outside_roots: { origin: 'caller', retryable: false, effect: 'none' },
  project_missing: { origin: 'caller', retryable: false, effect: 'none' },
  not_a_repository: { origin: 'caller', retryable: false, effect: 'none' },
  empty_repository: { origin: 'caller', retryable: false, effect: 'none' },
  git_failed: { origin: 'host', retryable: true, effect: 'unknown' },
  repository_locked: { origin: 'host', retryable: true, effect: 'none' },
  worktree_in_use: { origin: 'host', retryable: true, effect: 'none' },
  worktree_replaced: { origin: 'operator', retryable: false, effect: 'unknown' },
  agent_unknown: { origin: 'caller', retryable: false, effect: 'none' },
  agent_not_installed: { origin: 'caller', retryable: false, effect: 'none' },
  agent_needs_login: { origin: 'caller', retryable: false, effect: 'none' },
  agent_start_timeout: { origin: 'agent', retryable: true, effect: 'none' },
  agent_stalled: { origin: 'agent', retryable: true, effect: 'unknown' },
  agent_crashed: { origin: 'agent', retryable: true, effect: 'unknown' },
  agent_protocol_error: { origin: 'agent', retryable: false, effect: 'unknown' },
  agent_session_lost: { origin: 'agent', retryable: false, effect: 'none' },
  agent_refused: { origin: 'agent', retryable: false, effect: 'unknown' },
  option_not_available: { origin: 'caller', retryable: false, effect: 'none' },
  turn_limit: { origin: 'agent', retryable: false, effect: 'unknown' },
  llm_error: { origin: 'provider', retryable: false, effect: 'unknown' },
  llm_unavailable: { origin: 'provider', retryable: true, effect: 'unknown' },
  usage_limit: { origin: 'provider', retryable: false, effect: 'unknown' },
  output_overflow: { origin: 'agent', retryable: false, effect: 'unknown' },
  disk_full: { origin: 'host', retryable: true, effect: 'unknown' },
  no_free_slot: { origin: 'host', retryable: true, effect: 'none' },
  worker_lost: { origin: 'host', retryable: true, effect: 'unknown' },
  step_timeout: { origin: 'host', retryable: true, effect: 'unknown' },
  superseded: { origin: 'host', retryable: false, effect: 'none' },
  terminated: { origin: 'operator', retryable: false, effect: 'unknown' },
  task_gone: { origin: 'operator', retryable: false, effect: 'none' },
  not_supported_yet: { origin: 'caller', retryable: false, effect: 'none' },
  service_unreachable: { origin: 'host', retryable: true, effect: 'none' },
  internal_error: { origin: 'host', retryable: true, effect: 'unknown' },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/**
 * The one error class that crosses folders. `message` is a sentence a person can act on: what was
 * expected, what was found, what to do.
 */
export class LonghaulError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'LonghaulError';
    this.code = code;
  }
  get facts(): ErrorFacts {
    return ERRORS[this.code];
  }
}

/** Whether a system call failed with one of these codes (`ENOENT`, …). */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** The text of a thrown value. A refused connection (AggregateError) has no message but a code. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}

/** For the end of a `switch` over a closed union. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected value: ${JSON.stringify(value)}`);
}
