/**
 * The interface between the dispatch step and an agent of any kind. A driver implements a protocol; it has no access to
 * tasks, the database or Temporal. The dispatch step calls: open, load or start a session, prompt, close.
 *
 * Every method fails with a LonghaulError whose message says what a person can do.
 */
import type { ProcessIdentity } from '../processes/identity.ts';
import type { AgentSessionId, TaskId } from '../contract/ids.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type {
  AgentCommand,
  PermissionOption,
  PlanEntry,
  ToolCall,
  ToolCallContent,
  Usage,
} from '../contract/vocabulary.ts';
import type { OfferedValue } from './acp/options.ts';
import type { AgentLaunch } from './launch/launch.ts';
import type { AgentProcess } from './process/spawn.ts';

export type { AgentCommand, PermissionOption, PlanEntry, ToolCall, ToolCallContent, Usage };

export type AgentEvent =
  /** `messageId`, if the agent gives one: text with another id belongs to another of its messages. */
  | { readonly kind: 'text'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'tool_call'; readonly call: ToolCall }
  | { readonly kind: 'plan'; readonly entries: readonly PlanEntry[] }
  | { readonly kind: 'commands'; readonly commands: readonly AgentCommand[] }
  | { readonly kind: 'usage'; readonly usage: Usage }
  /** A mode or a model that the agent switched to by itself, or a title that it gave. Kept for information. */
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'warning'; readonly message: string };

export interface PermissionAsk {
  readonly toolCall: ToolCall;
  readonly options: readonly PermissionOption[];
  /** SHA-256, hexadecimal. Equal for requests that ask for the same. */
  readonly hash: string;
  /** The agent named more paths or contents than `toolCall` has. */
  readonly isCut: boolean;
}

export type PermissionDecision =
  { readonly kind: 'selected'; readonly optionId: string } | { readonly kind: 'cancelled' };

export interface AgentTimeouts {
  /** From the agent's start until it can be prompted. Only the time in which the driver waits for the agent counts. */
  readonly startMs: number;
  /** An agent that sends nothing for this long during a turn has stalled. */
  readonly stallMs: number;
  /** The same while a tool call is open, because a build or a test run may be silent for long. */
  readonly toolMs: number;
}

export interface OpenAgent {
  readonly launch: AgentLaunch;
  readonly taskId: TaskId;
  /** Absolute real path of the worktree: the agent's cwd and the root of its file requests. */
  readonly cwd: string;
  /** The worker's environment. The driver passes on only the variables that agents may see. */
  readonly env: NodeJS.ProcessEnv;
  readonly timeouts: AgentTimeouts;
  /** Aborted: the driver cancels the turn (session/cancel), then ends the process. */
  readonly signal: AbortSignal;
  /** Called once, right after the spawn. The driver sends nothing before it resolves, so that the identity is stored first. */
  onSpawn(process: ProcessIdentity): Promise<void>;
  /** Called in order. While a returned promise is pending the driver does not read the agent's stdout (backpressure). */
  onEvent(event: AgentEvent): void | Promise<void>;
  onPermission(ask: PermissionAsk): Promise<PermissionDecision>;
  /** Called once after the spawn, for a caller that reports how the process ended and what it printed. */
  onProcess?(process: Pick<AgentProcess, 'exited' | 'stderrTail'>): void;
}

/** What the agent says of itself when it is initialized. Empty texts: it does not say. */
export interface AgentAbout {
  readonly title: string;
  readonly version: string;
  readonly images: boolean;
  /** Names of the ways to log in. */
  readonly loginMethods: readonly string[];
}

/** What can be chosen in a session, and what is chosen now. */
export interface SessionOffers {
  readonly model: OfferedChoice | undefined;
  readonly mode: OfferedChoice | undefined;
  readonly thinking: OfferedChoice | undefined;
}

export interface OfferedChoice {
  /** As the agent reported it last, or accepted it. */
  readonly current: string;
  readonly values: readonly OfferedValue[];
  /** Other values may be chosen, too: the agent's program checks them. */
  readonly takesAny: boolean;
}

/** The user's choices. `undefined`: the agent's default. */
export interface SessionChoices {
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
}

export interface AgentDriver {
  /** Spawns the agent and initializes it, so that it can make a session. If this fails, no process of the agent remains. */
  open(options: OpenAgent): Promise<RunningAgent>;
}

export interface RunningAgent {
  readonly process: ProcessIdentity;
  readonly about: AgentAbout;
  /** Present if the agent can load sessions. Replayed history is not emitted again. Fails with `agent_session_lost`. */
  readonly resume?: { load(id: AgentSessionId, choices: SessionChoices): Promise<AgentSession> };
  newSession(choices: SessionChoices): Promise<AgentSession>;
  /** Ends the process, its group and all processes with its marker. Never fails; may be called twice. */
  close(): Promise<void>;
}

export interface AgentSession {
  readonly id: AgentSessionId;
  /** Runs one turn. Throws LonghaulError for failures that a retry may fix (crash, stall). */
  prompt(text: string): Promise<TurnEnd>;
  /** Before the first prompt. Fails with `option_not_available`. */
  choose(choices: SessionChoices): Promise<void>;
  offers(): SessionOffers;
}

export type TurnEnd =
  | { readonly kind: 'completed'; readonly usage?: Usage }
  /** The turn was stopped because `signal` was aborted. */
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      /** When a provider's usage limit is lifted, if the agent reports it. */
      readonly resetsAt?: Date;
    };
