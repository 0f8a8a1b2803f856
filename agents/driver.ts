/**
 * How Longhaul talks to an agent, whatever its kind. A driver knows a protocol; it knows no task, no
 * database and no Temporal. The dispatch step reads: open, load or start a session, prompt, close.
 *
 * Every method fails with a LonghaulError whose message a person can act on.
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
import type { AgentLaunch } from './launch/launch.ts';

export type { AgentCommand, PermissionOption, PlanEntry, ToolCall, ToolCallContent, Usage };

export type AgentEvent =
  /** `messageId`, where the agent gives one: text of another id is another message of its. */
  | { readonly kind: 'text'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly messageId?: string }
  | { readonly kind: 'tool_call'; readonly call: ToolCall }
  | { readonly kind: 'plan'; readonly entries: readonly PlanEntry[] }
  | { readonly kind: 'commands'; readonly commands: readonly AgentCommand[] }
  | { readonly kind: 'usage'; readonly usage: Usage }
  /** Mode or model that the agent switched to by itself, or a title it gave: for the record. */
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'warning'; readonly message: string };

export interface PermissionAsk {
  readonly toolCall: ToolCall;
  readonly options: readonly PermissionOption[];
  /** Equal for requests that ask for the same (SHA-256, hexadecimal). */
  readonly hash: string;
}

export type PermissionDecision =
  { readonly kind: 'selected'; readonly optionId: string } | { readonly kind: 'cancelled' };

export interface AgentTimeouts {
  /** From its start until it can be prompted: only waiting for the agent counts. */
  readonly startMs: number;
  /** No sign of life for this long in the middle of a turn: the agent has stalled. */
  readonly stallMs: number;
  /** The same while a tool call is open: a build or a test run may be silent for long. */
  readonly toolMs: number;
}

export interface OpenAgent {
  readonly launch: AgentLaunch;
  readonly taskId: TaskId;
  /** Absolute real path of the worktree: the agent's cwd and the root of its file requests. */
  readonly cwd: string;
  /** The worker's environment; the driver passes on only what agents may see. */
  readonly env: NodeJS.ProcessEnv;
  readonly timeouts: AgentTimeouts;
  /** Aborted: the turn is asked to stop (session/cancel), then the process is ended. */
  readonly signal: AbortSignal;
  /** Called once, right after the spawn and before anything is sent: the identity is stored first. */
  onSpawn(process: ProcessIdentity): Promise<void>;
  /** In order. While a returned promise is pending the agent's stdout is not read (backpressure). */
  onEvent(event: AgentEvent): void | Promise<void>;
  onPermission(ask: PermissionAsk): Promise<PermissionDecision>;
}

/** What the person chose; `undefined` leaves the agent's default. */
export interface SessionChoices {
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
}

export interface AgentDriver {
  /** Spawns the agent and brings it to where a session can be made. Nothing of it is left if this fails. */
  open(options: OpenAgent): Promise<RunningAgent>;
}

export interface RunningAgent {
  readonly process: ProcessIdentity;
  /** There if the agent says that it can load sessions. Replayed history is not emitted again. Fails with `agent_session_lost`. */
  readonly resume?: { load(id: AgentSessionId, choices: SessionChoices): Promise<AgentSession> };
  newSession(choices: SessionChoices): Promise<AgentSession>;
  /** Ends the process, its group and everything that carries its marker. Never fails, may be called twice. */
  close(): Promise<void>;
}

export interface AgentSession {
  readonly id: AgentSessionId;
  /** One turn. Throws LonghaulError for what a retry may mend (crash, stall). */
  prompt(text: string): Promise<TurnEnd>;
}

export type TurnEnd =
  | { readonly kind: 'completed'; readonly usage?: Usage }
  /** The turn was stopped because `signal` was aborted. */
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      /** Of a provider's usage limit, where the agent says when it is lifted. */
      readonly resetsAt?: Date;
    };
