/** Defines what the driver needs to start one agent, and the request from which a launcher makes it. */
import type { ExecutionPath } from '../../contract/task.ts';

/** One program that speaks ACP on stdin and stdout, and the facts about it that the driver needs. */
export interface AgentLaunch {
  /** The agent's name, for messages. */
  readonly name: string;
  /** Absolute path of the program, or a name that is looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /**
   * The command with which a person starts the agent's program by hand, for messages. If it is omitted, messages show
   * `command` with `args`. A launcher sets it where `command` is node, which runs a program of ours.
   */
  readonly program?: string;
  /**
   * Names of worker variables that the program gets in addition to those that every agent gets. A trailing `*` matches
   * any rest.
   */
  readonly envKeys: readonly string[];
  /**
   * Variables that are set for the program. `DATABASE_URL`, `TEMPORAL_*` and `LONGHAUL_*` never reach the program, even
   * if they are named here.
   */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Whether the driver offers ACP's file requests to the agent. False for gemini, which treats a new file as an error
   * if file requests are offered.
   */
  readonly offersFileSystem: boolean;
  /**
   * Whether the token counts that the agent reports at the end of a turn cover the turn or the whole session. ACP's
   * schema says `session`: "across all turns".
   */
  readonly usageOf: 'turn' | 'session';
  /** The name of the known agent that the agent's entry in the settings file extends. */
  readonly base?: string;
  /** The label to show. If it is omitted, the agent's own title is used. */
  readonly label?: string;
  /** The models to offer, from those that the agent offers. If this list is omitted, all of them are offered. */
  readonly models?: readonly { readonly id: string; readonly label: string }[];
  /** The part of an error message that says what to install if the program is missing. */
  readonly installHint?: string;
  /** The part of an error message that says how to log in if the agent requires a login. */
  readonly loginHint?: string;
  /**
   * The predicate of the error message for an agent that requires a login. Default: `needs a login on this machine`.
   */
  readonly loginLack?: string;
}

/** An agent as a row of `available_agents` lists it. */
export interface ListedAgent {
  readonly name: string;
  /**
   * A file, or a name on PATH. If it is empty, the command of the agent's profile is used, and without a profile the
   * agent's name.
   */
  readonly installPath?: string | null;
}

export interface LaunchRequest {
  readonly path: ExecutionPath;
  /** The agent's row; `undefined` on the path `native`. */
  readonly agent?: ListedAgent | undefined;
  /**
   * True if the task has no working directory of a project, so that the agent gets no tools. Only on the path `native`.
   */
  readonly answersOnly?: boolean;
  /** The agent name that the task gives, if no row of `available_agents` has it. Only on the path `native`. */
  readonly unlisted?: string | undefined;
  /** The worker's environment. Programs are looked up on its PATH. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Turns a request of one path into a launch. Starts no process. Throws `agent_not_installed` if the program does not
 * exist. A launcher that needs settings is a closure over them, made in worker.ts.
 */
export type Launcher = (request: LaunchRequest) => AgentLaunch;
