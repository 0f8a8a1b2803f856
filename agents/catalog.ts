/** The agents that Longhaul knows by name: how each is started and what of the environment it may see. */

/** How to run one agent. */
export interface AgentProfile {
  readonly name: string;
  readonly kind: 'acp' | 'pty';
  /** Absolute path or a name looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Names of variables passed on to the agent; a trailing `*` stands for any rest. */
  readonly envKeys: readonly string[];
  /** Variables set for the agent. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether to offer the agent our file requests: gemini takes a new file for an error if we do. */
  readonly offersFileSystem: boolean;
  readonly startTimeoutMs: number;
  /** No sign of life for this long while a turn runs: the agent has stalled. */
  readonly stallTimeoutMs: number;
}
