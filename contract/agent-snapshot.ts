/** What an agent offers, as a probe of it has found: the entries of `GET /api/agents`, and what the store keeps of a probe. */
import type { ErrorCode } from './errors.ts';

/** `loading`: a probe is under way; the rest of the entry is from the probe before it. */
export type AgentStatus = 'ready' | 'loading' | 'error' | 'unavailable';
export type AgentTransport = 'acp' | 'pty' | 'native';
/** `required`: the agent refused to make a session before a login. `unknown`: it was not asked to make one, or it cannot tell. */
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
  /** Null: the probe did not ask for those of this model. */
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
  /** What the agent expects after the name; null: nothing, or it does not say. */
  readonly argument_hint: string | null;
  readonly source: 'agent' | 'profile';
}

/** The choices of a task. */
export const CHOICE_NAMES = ['model', 'mode', 'thinking'] as const;
export type ChoiceName = (typeof CHOICE_NAMES)[number];

/** What a probe that succeeded has found. */
export interface AgentOffer {
  readonly label: string;
  readonly version: string | null;
  readonly auth: AgentAuth;
  readonly models: readonly AgentModel[];
  readonly modes: readonly AgentMode[];
  /** The thinking options of an agent that offers no choice of models. */
  readonly thinking_options: readonly ThinkingOption[];
  readonly commands: readonly SnapshotCommand[];
  /** Choices that accept values which are not listed: only the agent's program checks them. */
  readonly accepts_any: readonly ChoiceName[];
  readonly capabilities: AgentCapabilities;
}

export interface AgentCapabilities {
  /** As the agent advertises: it can continue a session in a new process. */
  readonly resume: boolean;
  readonly images: boolean;
  readonly login_methods: readonly string[];
}

/** How the newest probe ran, for a person who looks for the reason of its failure. */
export interface ProbeReport {
  readonly command: readonly string[];
  readonly exit_code: number | null;
  readonly signal: string | null;
  /** The end of what the agent printed outside the protocol. */
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

/** Start argument of the workflow `probeAgent`, and the argument of its step. Names and paths stay out of Temporal's history. */
export interface ProbeInput {
  /** A row of `agent_snapshots`. */
  readonly snapshotId: string;
  readonly host: string;
}

export interface ProbeSteps {
  probeAgent(
    input: ProbeInput,
  ): Promise<{ readonly status: 'ready' | 'error' | 'unavailable' | 'superseded' | 'gone' }>;
}
