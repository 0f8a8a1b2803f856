/** Reads the only argument of the terminal adapter, a JSON object. */
import { isAbsolute } from 'node:path';

export interface TerminalLaunch {
  /** The agent's name. It selects the profile. */
  readonly agent: string;
  /** The absolute path of the agent's program. */
  readonly file: string;
  /**
   * The folder for recordings, which contains one folder for each task. If it is omitted, the adapter makes no
   * recording.
   */
  readonly recordings?: string;
}

/** Parses the argument. Throws an error whose message says what was expected and found. */
export function readLaunch(argument: string | undefined): TerminalLaunch {
  const { agent, file, recordings } = parse(argument);
  if (typeof agent === 'string' && typeof file === 'string' && isAbsolute(file)) {
    return { agent, file, ...(typeof recordings === 'string' ? { recordings } : {}) };
  }
  throw new TypeError(
    `the terminal adapter expects one argument such as {"agent":"codex","file":"/usr/bin/codex"}, found ${String(argument)}`,
  );
}

function parse(argument: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(argument ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // the caller's error says what was expected
  }
}
