/** Chance that can be had again: everything that a cell leaves to chance comes from the run's seed and the cell's name. */
import { createHash } from 'node:crypto';

/** `LONGHAUL_FAULTS_SEED`, a whole number; without it each run has its own. */
export const SEED = seedOf(process.env['LONGHAUL_FAULTS_SEED']);

function seedOf(given: string | undefined): number {
  if (given === undefined || given === '') return Math.floor(Date.now() / 1_000) % 100_000;
  const seed = Number(given);
  if (!Number.isInteger(seed) || seed < 0) {
    throw new TypeError(`LONGHAUL_FAULTS_SEED: expected a whole number from 0, found "${given}"`);
  }
  return seed;
}

export interface Chance {
  /** 0 ≤ number < `below`. */
  below(below: number): number;
  /** One of them. With the seeds n, n + 1, … they come in turn, so that as many seeds as there are items see all. */
  inTurn<T>(items: readonly T[]): T;
}

export function chanceFor(cell: string): Chance {
  let state = hash(`${SEED} ${cell}`);
  return {
    below: (below) => {
      state = hash(String(state));
      return state % below;
    },
    inTurn: (items) => {
      const item = items[(hash(cell) + SEED) % items.length];
      if (item === undefined) throw new TypeError('nothing to choose from');
      return item;
    },
  };
}

const hash = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE();
