/**
 * Types for what an agent offers, as found by a probe of the agent: the entries of `GET /api/agents` and the stored
 * result of a probe.
 */
import type { ErrorCode } from './errors.ts';

/** `loading`: a probe is running, and the rest of the entry is from the probe before it. */
export type AgentStatus = 'ready' | 'loading' | 'error' | 'unavailable';
export type AgentTransport = 'acp' | 'pty' | 'native';
/**
 * `required`: the agent refused to open a session before a login. `unknown`: the probe did not open a session, or the
 * agent does not report whether a login is needed.
 */
export type AgentAuth = 'ok' | 'required' | 'unknown';
export type ModeRisk = 'safe' | 'moderate' | 'dangerous' | 'planning';

export interface ThinkingOption {
  readonly id: string;
  readonly label: string;
  readonly is_default: boolean;
}

export interface AgentModel {
  readonly id: string;
  readonly label: string;
  readonly is_default: boolean;
  /** The thinking options of the model; null if the probe did not read them. */
  readonly thinking_options: readonly ThinkingOption[] | null;
}

export interface AgentMode {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly risk: ModeRisk;
  readonly is_default: boolean;
}

export interface SnapshotCommand {
  readonly name: string;
  readonly description: string;
  /** The arguments that the agent expects after the command's name. Null: it expects none, or does not report them. */
  readonly argument_hint: string | null;
  readonly source: 'agent' | 'profile';
}

/** The names of the choices that a task can make. */
export const CHOICE_NAMES = ['model', 'mode', 'thinking'] as const;
export type ChoiceName = (typeof CHOICE_NAMES)[number];

/** What a successful probe found. */
export interface AgentOffer {
  readonly label: string;
  readonly version: string | null;
  readonly auth: AgentAuth;
  readonly models: readonly AgentModel[];
  readonly modes: readonly AgentMode[];
  /** The thinking options of an agent that offers no choice of models. */
  readonly thinking_options: readonly ThinkingOption[];
  readonly commands: readonly SnapshotCommand[];
  /** The choices that accept values which are not listed. Only the agent's program checks such a value. */
  readonly accepts_any: readonly ChoiceName[];
  readonly capabilities: AgentCapabilities;
}

export interface AgentCapabilities {
  /** True if the agent reports that it can continue a session in a new process. */
  readonly resume: boolean;
  readonly images: boolean;
  readonly login_methods: readonly string[];
}

/**
 * The result of a check that killed the agent in a turn and loaded its session in a new process. `unknown`: no check
 * has ended yet, or the check could not be made; then the agent's own report counts.
 */
export type ResumeVerdict = 'yes' | 'no' | 'unknown';

export interface ResumeCheck {
  readonly result: ResumeVerdict;
  /** The reason of `no` or `unknown`, for a person; empty for `yes`. */
  readonly reason: string;
}

/** Facts about the newest probe, for a user who searches for the reason why the probe failed. */
export interface ProbeReport {
  readonly command: readonly string[];
  readonly exit_code: number | null;
  readonly signal: string | null;
  /** The end of the text that the agent printed outside the protocol. */
  readonly stderr: string;
}

/** The result of one probe. */
export type ProbeResult = { readonly report: ProbeReport | null; readonly install_hint: string | null } & (
  | { readonly status: 'ready'; readonly offer: AgentOffer }
  | {
      readonly status: 'error' | 'unavailable';
      readonly code: ErrorCode;
      readonly message: string;
      readonly auth: AgentAuth;
    }
);

/**
 * The argument of the workflow `probeAgent` and of its step. It has only an id, so that names and paths do not enter
 * Temporal's history.
 */
export interface ProbeInput {
  /** The id of a row of `agent_snapshots`. */
  readonly snapshotId: string;
  readonly host: string;
}

export interface ProbeSteps {
  probeAgent(
    input: ProbeInput,
  ): Promise<{ readonly status: 'ready' | 'error' | 'unavailable' | 'superseded' | 'gone' }>;
}

export interface ResumeSteps {
  verifyResume(input: ProbeInput): Promise<{ readonly result: ResumeVerdict | 'gone' }>;
}
