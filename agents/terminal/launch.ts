/** Reads the only argument of the terminal adapter, a JSON object. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';

export interface TerminalLaunch {
  /** The agent's name. It selects the terminal profile, unless `profile` names another one. */
  readonly agent: string;
  readonly profile?: string;
  /** The arguments that precede those of the profile; see `withSettings`. */
  readonly args?: readonly string[];
  /** The models to offer. If they are omitted, the profile's models are offered. */
  readonly models?: readonly { readonly id: string; readonly label: string }[];
  /** The absolute path of the agent's program. */
  readonly file: string;
  /**
   * The folder for recordings, which contains one folder for each task. If it is omitted, the adapter makes no
   * recording.
   */
  readonly recordings?: string;
}

/** Parses the argument. Throws an error whose message names the expected and the found value. */
export function readLaunch(argument: string | undefined): TerminalLaunch {
  const parsed = launchSchema.safeParse(parse(argument));
  if (parsed.success) return parsed.data;
  throw new TypeError(
    `the terminal adapter expects one argument such as {"agent":"codex","file":"/usr/bin/codex"}, found ${String(argument)}`,
  );
}

const launchSchema = z.object({
  agent: z.string(),
  profile: z.string().exactOptional(),
  args: z.array(z.string()).exactOptional(),
  models: z.array(z.object({ id: z.string(), label: z.string() })).exactOptional(),
  file: z.string().refine(isAbsolute),
  recordings: z.string().exactOptional(),
});

function parse(argument: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(argument ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // the caller's error says what was expected
  }
}
