/**
 * The interface between the dispatch step and an agent of any kind. A driver implements a protocol; it has no access to
 * tasks, the database or Temporal. The dispatch step opens the agent, loads or creates a session, sends the prompt, and
 * closes the agent.
 *
 * Every method fails with a LonghaulError whose message says what a person can do.
 */
import type { ProcessIdentity } from '../processes/identity.ts';
import type { AgentSessionId, TaskId } from '../contract/ids.ts';
import type { Elicitation, FormContent } from '../contract/elicitation.ts';
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
  /** `messageId` is present if the agent sends one. Text with another id belongs to another message. */
  | { readonly kind: 'text'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'tool_call'; readonly call: ToolCall }
  | { readonly kind: 'plan'; readonly entries: readonly PlanEntry[] }
  | { readonly kind: 'commands'; readonly commands: readonly AgentCommand[] }
  | { readonly kind: 'usage'; readonly usage: Usage }
  /**
   * Text that informs the reader, for example that the agent switched to another mode or model by itself, or named its
   * session.
   */
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'warning'; readonly message: string };

export interface PermissionAsk {
  readonly toolCall: ToolCall;
  readonly options: readonly PermissionOption[];
  /** SHA-256, hexadecimal. Two requests for the same action have equal hashes. */
  readonly hash: string;
  /** True if the agent named more paths or contents than `toolCall` contains. */
  readonly isCut: boolean;
}

export type PermissionDecision =
  { readonly kind: 'selected'; readonly optionId: string } | { readonly kind: 'cancelled' };

/** An elicitation of the agent: a prompt that asks for no permission. */
export interface ElicitationAsk {
  readonly elicitation: Elicitation;
  /** The tool call to which the elicitation belongs, if the agent names one. */
  readonly toolCall: ToolCall | undefined;
  /** SHA-256 in hexadecimal digits. Equal elicitations have equal hashes. */
  readonly hash: string;
}

export type ElicitationDecision =
  | { readonly action: 'accept'; readonly content?: FormContent }
  | { readonly action: 'decline' }
  | { readonly action: 'cancel' };

export interface AgentTimeouts {
  /**
   * Time from the agent's start until it accepts a prompt. Only the time in which the driver waits for the agent
   * counts.
   */
  readonly startMs: number;
  /** An agent that sends nothing for this time during a turn has stalled. */
  readonly stallMs: number;
  /** Replaces `stallMs` while a tool call is open, because a build or a test run may be silent for a long time. */
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
  /** If the signal aborts, the driver cancels the turn (session/cancel) and then ends the process. */
  readonly signal: AbortSignal;
  /**
   * Called once, immediately after the spawn. The driver sends nothing to the agent before the promise resolves, so
   * that the process's identity is stored first.
   */
  onSpawn(process: ProcessIdentity): Promise<void>;
  /**
   * Called in the order of the events. While the returned promise is pending, the driver does not read the agent's
   * stdout (backpressure).
   */
  onEvent(event: AgentEvent): void | Promise<void>;
  onPermission(ask: PermissionAsk): Promise<PermissionDecision>;
  /** Answers an elicitation. If this function is absent, every elicitation is cancelled. */
  onElicitation?(ask: ElicitationAsk): Promise<ElicitationDecision>;
  /** Whether the driver reports to the agent that elicitations are supported. Otherwise the agent sends no elicitation. */
  readonly offersElicitation?: boolean;
  /** Called once after the spawn. A caller uses it to report how the process exited and what it wrote to stderr. */
  onProcess?(process: Pick<AgentProcess, 'exited' | 'stderrTail'>): void;
}

/**
 * The agent's description of itself, from its answer to `initialize`. A text is empty if the agent does not report it.
 */
export interface AgentDescription {
  readonly title: string;
  readonly version: string;
  readonly images: boolean;
  /** The names of the login methods that the agent offers. */
  readonly loginMethods: readonly string[];
}

/** The values that a session offers for each choice, and the current values. */
export interface SessionOffers {
  readonly model: OfferedChoice | undefined;
  readonly mode: OfferedChoice | undefined;
  readonly thinking: OfferedChoice | undefined;
}

export interface OfferedChoice {
  /** The current value that the agent reported or accepted last. */
  readonly current: string;
  readonly values: readonly OfferedValue[];
  /** True if the agent accepts values that are not in the list. The agent's program checks them. */
  readonly takesAny: boolean;
}

/** The user's choices for a session. A choice that is `undefined` keeps the agent's default. */
export interface SessionChoices {
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
}

export interface AgentDriver {
  /**
   * Spawns the agent and initializes it, so that it can create a session. If this fails, no process of the agent
   * remains.
   */
  open(options: OpenAgent): Promise<RunningAgent>;
}

export interface RunningAgent {
  readonly process: ProcessIdentity;
  readonly about: AgentDescription;
  /**
   * Present if the agent can load sessions. History that the agent replays is not emitted. Fails with
   * `agent_session_lost`.
   */
  readonly resume?: { load(id: AgentSessionId, choices: SessionChoices): Promise<AgentSession> };
  newSession(choices: SessionChoices): Promise<AgentSession>;
  /**
   * Present if the agent can delete sessions from its own store. Fails with `agent_session_lost` if the agent refuses.
   */
  readonly deleteSession?: (id: AgentSessionId) => Promise<void>;
  /** Ends the process, its group and all processes with its marker. Never fails. A second call is allowed. */
  close(): Promise<void>;
}

export interface AgentSession {
  readonly id: AgentSessionId;
  /** Runs one turn. Throws LonghaulError for failures that a retry may fix (crash, stall). */
  prompt(text: string): Promise<TurnEnd>;
  /** Applies choices before the first prompt. Fails with `option_not_available`. */
  choose(choices: SessionChoices): Promise<void>;
  offers(): SessionOffers;
}

export type TurnEnd =
  | { readonly kind: 'completed'; readonly usage?: Usage }
  /** The turn was stopped because `signal` aborted. */
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      /** The time at which the provider lifts its usage limit, if the agent reports that time. */
      readonly resetsAt?: Date;
    };
