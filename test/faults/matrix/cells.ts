/** The cells of one moment as tests, one after the other on one Longhaul; after one that failed, on another. */
import { afterAll, afterEach, beforeEach, test } from 'vitest';
import { runCell, VICTIMS } from './cell.ts';
import { chosenOf } from './chosen.ts';
import type { Moment } from './moments.ts';
import { startWorld, type World } from './world.ts';

export const CHOSEN_VICTIMS = chosenOf(VICTIMS);

/** Only ends what hangs: a cell takes some ten seconds. */
export const CELL_TIMEOUT_MS = 240_000;

/** Starts a Longhaul for the tests of a file, and another one after a test that failed. */
export function keepWorld(start: () => Promise<World> = startWorld): () => World {
  let world: World | undefined;
  const close = async (): Promise<void> => {
    const last = world;
    world = undefined;
    await last?.close();
  };
  beforeEach(async () => {
    world ??= await start();
  }, CELL_TIMEOUT_MS);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await close();
  }, CELL_TIMEOUT_MS);
  afterAll(close, CELL_TIMEOUT_MS);
  return () => {
    if (!world) throw new TypeError('no world');
    return world;
  };
}

export function testCells(moment: Moment): void {
  const world = keepWorld();
  test.each(CHOSEN_VICTIMS)(
    `${moment.name} × %s: one task completes, one is cancelled, nothing remains`,
    async (victim) => {
      await runCell(world(), moment, victim);
    },
    CELL_TIMEOUT_MS,
  );
}
