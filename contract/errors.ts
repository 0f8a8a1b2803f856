/**
 * Lists all error codes. The Temporal failure type, `tasks.error_code` and the API's `error_code` are the same code.
 * Programs read the code; they do not parse messages.
 *
 * The workflow sandbox loads this file, so it uses no Node built-ins and no imports.
 */
export interface ErrorFacts {
  /** The party that can fix the cause. */
  readonly origin: 'caller' | 'host' | 'agent' | 'provider' | 'operator';
  /** True if the same request may succeed later although the user changes nothing. */
  readonly retryable: boolean;
}

export const ERRORS = {
  invalid_input: { origin: 'caller', retryable: false },
  project_not_found: { origin: 'caller', retryable: false },
  task_not_found: { origin: 'caller', retryable: false },
  session_not_found: { origin: 'caller', retryable: false },
  permission_not_found: { origin: 'caller', retryable: false },
  rule_not_found: { origin: 'caller', retryable: false },
  permission_answered: { origin: 'caller', retryable: false },
  /** A value in the answer to a form is not valid for its field. */
  form_not_valid: { origin: 'caller', retryable: false },
  change_not_found: { origin: 'caller', retryable: false },
  /** The change is already applied, undone or rejected, or an action on it has not ended. */
  change_decided: { origin: 'caller', retryable: false },
  /** The change does not merge with the files of the checkout. */
  change_conflict: { origin: 'caller', retryable: false },
  change_not_applicable: { origin: 'caller', retryable: false },
  agent_not_found: { origin: 'caller', retryable: false },
  recording_not_found: { origin: 'caller', retryable: false },
  route_not_found: { origin: 'caller', retryable: false },
  method_not_allowed: { origin: 'caller', retryable: false },
  request_timeout: { origin: 'caller', retryable: true },
  headers_too_large: { origin: 'caller', retryable: false },
  body_too_large: { origin: 'caller', retryable: false },
  unsupported_media_type: { origin: 'caller', retryable: false },
  idempotency_conflict: { origin: 'caller', retryable: false },
  task_open: { origin: 'caller', retryable: true },
  task_not_queued: { origin: 'caller', retryable: false },
  session_at_work: { origin: 'caller', retryable: true },
  unauthorized: { origin: 'caller', retryable: false },
  host_refused: { origin: 'caller', retryable: false },
  too_many_connections: { origin: 'host', retryable: true },
  too_many_attempts: { origin: 'caller', retryable: true },
  project_has_no_path: { origin: 'caller', retryable: false },
  project_outside_roots: { origin: 'caller', retryable: false },
  project_missing: { origin: 'caller', retryable: false },
  not_a_repository: { origin: 'caller', retryable: false },
  empty_repository: { origin: 'caller', retryable: false },
  /** A partial clone lacks objects, and its remote does not respond. */
  remote_unavailable: { origin: 'caller', retryable: false },
  git_failed: { origin: 'host', retryable: true },
  repository_locked: { origin: 'host', retryable: true },
  worktree_in_use: { origin: 'host', retryable: true },
  worktree_replaced: { origin: 'operator', retryable: false },
  agent_unknown: { origin: 'caller', retryable: false },
  agent_disabled: { origin: 'caller', retryable: false },
  agent_not_installed: { origin: 'caller', retryable: false },
  agent_needs_login: { origin: 'caller', retryable: false },
  agent_start_timeout: { origin: 'agent', retryable: true },
  agent_stalled: { origin: 'agent', retryable: true },
  agent_crashed: { origin: 'agent', retryable: true },
  /** A program that ran for an agent (path `pty`) exited with a code other than 0. */
  agent_failed: { origin: 'agent', retryable: false },
  agent_protocol_error: { origin: 'agent', retryable: false },
  agent_session_lost: { origin: 'agent', retryable: false },
  agent_refused: { origin: 'agent', retryable: false },
  option_not_available: { origin: 'caller', retryable: false },
  turn_limit: { origin: 'agent', retryable: false },
  llm_error: { origin: 'provider', retryable: false },
  llm_unavailable: { origin: 'provider', retryable: true },
  usage_limit: { origin: 'provider', retryable: false },
  output_overflow: { origin: 'agent', retryable: false },
  disk_full: { origin: 'host', retryable: true },
  no_free_slot: { origin: 'host', retryable: true },
  worker_lost: { origin: 'host', retryable: true },
  step_timeout: { origin: 'host', retryable: true },
  superseded: { origin: 'host', retryable: false },
  terminated: { origin: 'operator', retryable: false },
  task_gone: { origin: 'operator', retryable: false },
  not_supported_yet: { origin: 'caller', retryable: false },
  service_unreachable: { origin: 'host', retryable: true },
  internal_error: { origin: 'host', retryable: true },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/** An invalid part of a value. `pointer` is a JSON pointer (RFC 6901). */
export interface WrongPart {
  readonly pointer: string;
  readonly detail: string;
}

/**
 * The only error class that crosses the boundary between two folders. `message` tells a user what was expected, what
 * was found and what to do.
 */
export class LonghaulError extends Error {
  readonly code: ErrorCode;
  /** The invalid parts, if the caller sent a value of which only some parts are invalid. */
  readonly parts: readonly WrongPart[] | undefined;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; parts?: readonly WrongPart[] }) {
    super(message, options);
    this.name = 'LonghaulError';
    this.code = code;
    this.parts = options?.parts;
  }
  get facts(): ErrorFacts {
    return ERRORS[this.code];
  }
}

/** Returns whether a system call failed with one of these codes (`ENOENT`, …). */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** Returns the text of a thrown value. A refused connection (AggregateError) has a code instead of a message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}

/** The default case of a `switch` over a closed union. It does not compile if the `switch` lacks a case. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected value: ${JSON.stringify(value)}`);
}
