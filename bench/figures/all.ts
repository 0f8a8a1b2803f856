/** Every bench, in the order in which they run: those that share a stage one after the other. */
import type { Bench } from '../bench.ts';
import { spawn } from './spawn.ts';
import { steps } from './steps.ts';

export const BENCHES: readonly Bench[] = [spawn, steps];
