/** The type of a bench: its name on the command line, the stage that it needs, and its measurement. */
import type { Outcome } from './report.ts';
import type { Stage } from './stage.ts';

export interface BenchOptions {
  /** Whether the run is quick: with few repetitions, only to check that everything runs. */
  readonly quick: boolean;
  /** The number of repetitions that the user requested. */
  readonly n: number | undefined;
  readonly dist: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** The kinds of stage. Benches that need the same kind run one after another on one stage. */
export type StageKind =
  /** Services as `longhaul up` starts them. */
  | 'usual'
  /** The same services, with a slot for each of twenty agents. */
  | 'twenty slots'
  /** The same services, but with a worker that uses neither git nor agent processes (`engine/`). */
  | 'engine'
  /** The usual services, with opencode installed and a model configured for it. */
  | 'opencode'
  | 'none';

interface Described {
  readonly name: string;
  readonly about: string;
  /** Set if the bench takes so long that it runs only if the user names it. */
  readonly onlyByName?: true;
}

export type Bench = Described &
  (
    | { readonly stage: Exclude<StageKind, 'none'>; run(stage: Stage, options: BenchOptions): Promise<Outcome> }
    | { readonly stage: 'none'; run(options: BenchOptions): Promise<Outcome> }
  );

/** Returns the number of measurements: the user's number, otherwise that of a full or a quick run. */
export const repetitions = ({ n, quick }: BenchOptions, usual: { full: number; quick: number }): number =>
  n ?? (quick ? usual.quick : usual.full);
