/** The cells of one moment as tests, one after the other on one Longhaul. */
import { afterAll, beforeAll, test } from 'vitest';
import { runCell, VICTIMS } from './cell.ts';
import type { Moment } from './moments.ts';
import { startWorld, type World } from './world.ts';

/** Only ends what hangs: a cell takes some ten seconds. */
const CELL_BOUND_MS = 180_000;

export function testCells(moment: Moment): void {
  let world: World | undefined;
  beforeAll(async () => {
    world = await startWorld();
  }, CELL_BOUND_MS);
  afterAll(() => world?.close(), CELL_BOUND_MS);

  test.each(VICTIMS)(
    `${moment.name} × %s: one task completes, one is cancelled, nothing is left`,
    async (victim) => {
      if (!world) throw new TypeError('no world');
      await runCell(world, moment, victim);
    },
    CELL_BOUND_MS,
  );
}
