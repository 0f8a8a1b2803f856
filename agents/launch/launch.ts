/** What the driver needs to start one agent, and the request from which a launcher makes it. */
import type { ExecutionPath } from '../../contract/task.ts';

/** One program that speaks ACP on stdin and stdout, and the facts that the driver needs. */
export interface AgentLaunch {
  /** The agent's name, for messages. */
  readonly name: string;
  /** Absolute path of the program, or a name that is looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /**
   * What a person types to start the agent's program by hand: a part of messages. Absent: `command` with `args`. A
   * launcher sets it where `command` is node, which runs a program of ours.
   */
  readonly program?: string;
  /**
   * Names of variables of the worker that the program gets beside those that every agent gets; a trailing `*` matches any
   * rest.
   */
  readonly envKeys: readonly string[];
  /** Variables set for the program. `DATABASE_URL`, `TEMPORAL_*` and `LONGHAUL_*` are removed, also from here. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the client offers its file requests. gemini takes a new file for an error if it does. */
  readonly offersFileSystem: boolean;
  /** What the token counts at the end of a turn cover. ACP's schema says `session`: "across all turns". */
  readonly usageOf: 'turn' | 'session';
  /** What to install if the program is missing: a part of the message. */
  readonly installHint?: string;
  /** How to log in if the agent requires it: a part of the message. */
  readonly loginHint?: string;
  /** What the agent lacks if it requires a login, as the predicate of the message. Default: `needs a login on this machine`. */
  readonly loginLack?: string;
}

/** A row of `available_agents`. */
export interface ListedAgent {
  readonly name: string;
  /** A file, or a name on PATH; empty: the command of the agent's profile, otherwise the agent's name. */
  readonly installPath?: string | null;
}

export interface LaunchRequest {
  readonly path: ExecutionPath;
  /** Absent on the path `native`. */
  readonly agent?: ListedAgent | undefined;
  /** The task has no working directory of a project, so the agent gets no tools. Only on the path `native`. */
  readonly answersOnly?: boolean;
  /** The name that the task gives, if no row of `available_agents` has it. Only on the path `native`. */
  readonly unlisted?: string | undefined;
  /** The worker's environment: programs are looked up on its PATH. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Turns a request of one path into a launch. Starts nothing. Throws `agent_not_installed` if the program that it needs
 * does not exist. A launcher that needs settings is a closure over them, made in worker.ts.
 */
export type Launcher = (request: LaunchRequest) => AgentLaunch;
