/**
 * A part of a home: a process that the supervisor keeps running. It is a service (Postgres, Temporal) or a program of
 * Longhaul (worker, backend).
 */
import type { ProcessIdentity } from '../../processes/identity.ts';
import type { ServiceAddresses } from '../home/home.ts';

export interface Part {
  readonly name: string;
  /** Names of the parts that must be ready before this part starts. */
  readonly needs: readonly string[];
  readonly logFile: string;
  /** Attaches to the running process, or starts one. Resolves when the part is ready. */
  start(context: PartContext): Promise<StartedPart>;
  /** Finds the running process of the part in the process table. `undefined`: none runs, or it is not ours. */
  find(): Promise<FoundPart | undefined>;
  /**
   * Ends the running process, whichever process started it. It is no error if no process runs. An aborted
   * `forceShutdown` skips the grace period.
   */
  stop(forceShutdown?: AbortSignal): Promise<void>;
}

export interface FoundPart {
  readonly process: ProcessIdentity;
  readonly detail: string | null;
  readonly facts: ServiceAddresses;
  /** The version of a running program of Longhaul; absent if it is unknown. */
  readonly version?: string;
}

export interface PartContext {
  readonly facts: ServiceAddresses;
  /** Reports one line to the waiting user. */
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface StartedPart {
  /** The process of the part. Null if the part is a service of the user, whose process Longhaul does not watch. */
  readonly process: ProcessIdentity | null;
  readonly exited: Promise<string>;
  /** After this call, watching the part no longer keeps this process alive. */
  release(): void;
  readonly attached: boolean;
  readonly detail: string;
  readonly facts: ServiceAddresses;
}
