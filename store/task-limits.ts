/**
 * The limits of a task's values. The client refuses a task beyond them before the task exists. If another program
 * inserts such a row, the task fails in its first step with the same message.
 */
import { shorten } from '../contract/cut-text.ts';
import { LonghaulError } from '../contract/errors.ts';

export const MAX_INPUT_CHARS = 1_000_000;
const MAX_NAME_CHARS = 200;
/** PATH_MAX of Linux. No system call accepts a longer path. */
const MAX_PATH_BYTES = 4_096;
const SHOWN_CHARS = 80;
const POLICIES = ['allow', 'deny', 'ask'];
/** The longest permission timeout: a year. */
const MAX_TIMEOUT_S = 366 * 24 * 3_600;

export interface TaskValues {
  readonly input: string;
  readonly agent?: string | null | undefined;
  readonly model?: string | null | undefined;
  readonly modeId?: string | null | undefined;
  readonly thinkingOptionId?: string | null | undefined;
  readonly priority?: number | null | undefined;
  readonly permissionPolicy?: string | null | undefined;
  /** The number of seconds that a permission request waits for an answer. */
  readonly permissionTimeoutS?: number | null | undefined;
  readonly permissionDefault?: string | null | undefined;
}

function invalid(message: string): LonghaulError {
  return new LonghaulError('invalid_input', message);
}

/** Fails with `invalid_input` if a value is beyond its limit. */
export function refuseInvalidTaskValues(values: TaskValues): void {
  const { input, priority, permissionPolicy: policy } = values;
  if (input.length > MAX_INPUT_CHARS) {
    throw invalid(`input: expected at most ${MAX_INPUT_CHARS} characters, found more. Put the rest into a file.`);
  }
  const { agent, model, modeId: mode_id, thinkingOptionId: thinking_option_id } = values;
  for (const [name, value] of Object.entries({ agent, model, mode_id, thinking_option_id })) {
    if (value && value.length > MAX_NAME_CHARS) {
      throw invalid(`${name}: expected at most ${MAX_NAME_CHARS} characters, found ${value.length}: ${shown(value)}.`);
    }
  }
  if (typeof priority === 'number' && !(Number.isInteger(priority) && priority >= 1 && priority <= 5)) {
    throw invalid(`priority: expected a whole number from 1 (first) to 5, found ${priority}.`);
  }
  if (typeof policy === 'string' && !POLICIES.includes(policy)) {
    throw invalid(`permission_policy: expected "allow", "deny" or "ask", found ${shown(policy)}.`);
  }
  const { permissionTimeoutS: timeout, permissionDefault: fallback } = values;
  if (typeof timeout === 'number' && !(Number.isInteger(timeout) && timeout >= 1 && timeout <= MAX_TIMEOUT_S)) {
    throw invalid(`permission_timeout_s: expected whole seconds from 1 to ${MAX_TIMEOUT_S}, found ${timeout}.`);
  }
  if (typeof fallback === 'string' && fallback !== 'allow' && fallback !== 'deny') {
    throw invalid(`permission_default: expected "allow" or "deny", found ${shown(fallback)}.`);
  }
}

/**
 * Fails with `invalid_input` if the path is not absolute or too long. Whether the folder exists is not checked here but
 * by the code that reads the rows.
 */
export function refuseInvalidProjectPath(path: string): void {
  if (!path.startsWith('/')) throw invalid(`project path: expected an absolute path, found ${shown(path)}.`);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_PATH_BYTES) {
    throw invalid(`project path: expected at most ${MAX_PATH_BYTES} bytes, found ${bytes}: ${shown(path)}.`);
  }
}

const shown = (text: string): string => JSON.stringify(shorten(text, SHOWN_CHARS));
