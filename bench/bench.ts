/** A bench: its name on the command line, the stage that it needs, and its measurement. */
import type { Outcome } from './report.ts';
import type { Stage } from './stage.ts';

export interface BenchOptions {
  /** Small numbers, to check that everything runs. */
  readonly quick: boolean;
  /** Repetitions that the user requested. */
  readonly n: number | undefined;
  readonly dist: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Benches that need the same stage share one, one after the other. */
export type StageKind =
  /** As `longhaul up` starts it. */
  | 'usual'
  /** With a slot for each of twenty agents. */
  | 'twenty slots'
  /** With a worker that has no git and no agent processes (`engine/`). */
  | 'engine'
  /** With opencode and the model that it is configured to use. */
  | 'opencode'
  | 'none';

interface Described {
  readonly name: string;
  readonly about: string;
  /** Takes long: not part of a full run. */
  readonly onlyByName?: true;
}

export type Bench = Described &
  (
    | { readonly stage: Exclude<StageKind, 'none'>; run(stage: Stage, options: BenchOptions): Promise<Outcome> }
    | { readonly stage: 'none'; run(options: BenchOptions): Promise<Outcome> }
  );

/** Number of measurements: the user's number, otherwise by the kind of run. */
export const times = ({ n, quick }: BenchOptions, usual: { full: number; quick: number }): number =>
  n ?? (quick ? usual.quick : usual.full);
