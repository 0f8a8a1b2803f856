/** A part: a process that the supervisor keeps running, a service or a program of ours. */
import type { ProcessIdentity } from '../../processes/identity.ts';
import type { Facts } from '../home/home.ts';

export interface Part {
  readonly name: string;
  /** Names of parts that must be ready before this one starts. */
  readonly needs: readonly string[];
  readonly logFile: string;
  /** Attaches to what runs already, else starts it. Resolves when it is ready. */
  start(context: PartContext): Promise<StartedPart>;
  /** The running process of the part, by the process table. `undefined`: none runs, or it is not ours. */
  find(): Promise<FoundPart | undefined>;
  /**
   * Ends what runs, by whatever process it was started; nothing to end is no error. An aborted `forceShutdown` skips the
   * grace.
   */
  stop(forceShutdown?: AbortSignal): Promise<void>;
}

export interface FoundPart {
  readonly process: ProcessIdentity;
  readonly detail: string | null;
  readonly facts: Facts;
  /** The version of a running program of ours; absent if it is unknown. */
  readonly version?: string;
}

export interface PartContext {
  readonly facts: Facts;
  /** Reports one line to the waiting user. */
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface StartedPart {
  /** Null: it is not ours and does not end. */
  readonly process: ProcessIdentity | null;
  readonly exited: Promise<string>;
  /** It is left to others: watching it no longer keeps our own program alive. */
  release(): void;
  readonly attached: boolean;
  readonly detail: string;
  readonly facts: Facts;
}
